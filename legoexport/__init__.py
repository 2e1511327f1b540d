"""legoexport: the mobile deployment toolchain for LegoNet.

The names below are imported when they are first used, so that commands that need no torch start
fast.
"""

from __future__ import annotations

from importlib import import_module

from legoexport.version import __version__

_HOMES = {
    "CompileOptions": "legoexport.compile.stages",
    "LegoConv2d": "legoexport.models.lego_conv",
    "Plan": "legoexport.passes.plan",
    "convert_module": "legoexport.deliver.convert",
    "freeze": "legoexport.compile.freeze",
    "legofy": "legoexport.models.legofy",
    "read_checkpoint": "legoexport.models.checkpoint",
    "write_checkpoint": "legoexport.models.checkpoint",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - the keys are names


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

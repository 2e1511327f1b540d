"""legoexport: the mobile deployment toolchain for LegoNet.

Each name below is loaded when it is first used, so ``import legoexport`` loads neither torch nor
ONNX Runtime. A name that is also the name of a submodule would be hidden by it once something
imports that submodule, so no public name is one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from legoexport.version import __version__

if TYPE_CHECKING:
    from legoexport.compile.freeze import freeze
    from legoexport.compile.stages import CompileOptions
    from legoexport.deliver.convert import Conversion, convert_module
    from legoexport.errors import (
        CheckFailed,
        CheckpointError,
        InvariantBroken,
        LegoExportError,
        ParityFailed,
        UsageError,
    )
    from legoexport.measure.options import BenchOptions
    from legoexport.measure.run import bench, compare
    from legoexport.measure.timing import Comparison, Timing
    from legoexport.models.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
    from legoexport.models.fitting.cluster import FitOptions
    from legoexport.models.lego_conv import LegoConv2d
    from legoexport.models.legofy import Legofied, legofy
    from legoexport.parity.verify import Verification, verify
    from legoexport.passes.plan import Plan
    from legoexport.target import Target, find_target
    from legoexport.training.fitted import Fitted
    from legoexport.training.from_dense import fit
    from legoexport.tune.options import TuneOptions

__all__ = [
    "BenchOptions",
    "CheckFailed",
    "Checkpoint",
    "CheckpointError",
    "Comparison",
    "CompileOptions",
    "Conversion",
    "FitOptions",
    "Fitted",
    "InvariantBroken",
    "LegoConv2d",
    "LegoExportError",
    "Legofied",
    "ParityFailed",
    "Plan",
    "Target",
    "Timing",
    "TuneOptions",
    "UsageError",
    "Verification",
    "__version__",
    "bench",
    "compare",
    "convert_module",
    "find_target",
    "fit",
    "freeze",
    "legofy",
    "read_checkpoint",
    "verify",
    "write_checkpoint",
]

# What type checkers read above, for the interpreter; a test holds the two equal.
_HOMES = {
    "compile.freeze": ("freeze",),
    "compile.stages": ("CompileOptions",),
    "deliver.convert": ("Conversion", "convert_module"),
    "errors": (
        "CheckFailed",
        "CheckpointError",
        "InvariantBroken",
        "LegoExportError",
        "ParityFailed",
        "UsageError",
    ),
    "measure.options": ("BenchOptions",),
    "measure.run": ("bench", "compare"),
    "measure.timing": ("Comparison", "Timing"),
    "models.checkpoint": ("Checkpoint", "read_checkpoint", "write_checkpoint"),
    "models.fitting.cluster": ("FitOptions",),
    "models.lego_conv": ("LegoConv2d",),
    "models.legofy": ("Legofied", "legofy"),
    "parity.verify": ("Verification", "verify"),
    "passes.plan": ("Plan",),
    "target": ("Target", "find_target"),
    "training.fitted": ("Fitted",),
    "training.from_dense": ("fit",),
    "tune.options": ("TuneOptions",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

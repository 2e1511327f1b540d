"""Lowerings: strategies that turn a Lego layer into standard ONNX operators.

A new one is a file beside this one and a line in ``LOWERINGS``.
"""

from __future__ import annotations

from legoexport.errors import UsageError
from legoexport.passes.lowerings.base import Lowering, Site, Work
from legoexport.passes.lowerings.dense import Dense
from legoexport.passes.lowerings.grouped import Grouped
from legoexport.passes.lowerings.per_fragment import PerFragment

__all__ = ["LOWERINGS", "Lowering", "Site", "Work", "find_lowering"]

_REGISTERED: tuple[Lowering, ...] = (
    Grouped(),
    PerFragment(),
    Dense(),
)

LOWERINGS: dict[str, Lowering] = {lowering.name: lowering for lowering in _REGISTERED}


def find_lowering(name: str) -> Lowering:
    """Return the lowering called ``name``.

    Raises:
        UsageError: No lowering has that name.
    """
    if name not in LOWERINGS:
        raise UsageError("unknown lowering", received=name, legal=", ".join(LOWERINGS))
    return LOWERINGS[name]

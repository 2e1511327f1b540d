"""Lowerings: strategies that turn a Lego layer into standard ONNX operators.

A new one is a file beside this one and a line in ``LOWERINGS``.
"""

from __future__ import annotations

from legoexport.errors import UsageError
from legoexport.passes.lowerings.base import Lowering, Site, Work
from legoexport.passes.lowerings.dense import Dense
from legoexport.passes.lowerings.fragment_batch import FragmentBatch
from legoexport.passes.lowerings.fragment_stack import FragmentStack
from legoexport.passes.lowerings.grouped import Grouped
from legoexport.passes.lowerings.grouped_dense_merge import GroupedDenseMerge
from legoexport.passes.lowerings.per_fragment import PerFragment
from legoexport.passes.lowerings.winograd_rows_4 import WinogradRows4
from legoexport.passes.lowerings.winograd_rows_4_batch import WinogradRows4Batch
from legoexport.passes.lowerings.winograd_rows_4_stack import WinogradRows4Stack
from legoexport.passes.lowerings.winograd_rows_7 import WinogradRows7
from legoexport.passes.lowerings.winograd_rows_7_batch import WinogradRows7Batch
from legoexport.passes.lowerings.winograd_tiles_4 import WinogradTiles4
from legoexport.passes.lowerings.winograd_tiles_4_batch import WinogradTiles4Batch

__all__ = ["LOWERINGS", "Lowering", "Site", "Work", "find_lowering"]

_REGISTERED: tuple[Lowering, ...] = (
    Grouped(),
    GroupedDenseMerge(),
    PerFragment(),
    FragmentBatch(),
    FragmentStack(),
    WinogradRows4(),
    WinogradRows4Batch(),
    WinogradRows4Stack(),
    WinogradRows7(),
    WinogradRows7Batch(),
    WinogradTiles4(),
    WinogradTiles4Batch(),
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

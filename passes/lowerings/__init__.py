"""Lowerings: strategies that turn a Lego layer into standard ONNX operators.

A new one is a file beside this one and a line in ``_REGISTERED``; those that compute in integers
are in ``int8``.
"""

from __future__ import annotations

from legoexport.errors import UsageError
from legoexport.passes.lowerings.base import Footprint, Lowering, Site, Sums
from legoexport.passes.lowerings.dense import Dense
from legoexport.passes.lowerings.fragment_batch import FragmentBatch
from legoexport.passes.lowerings.fragment_stack import FragmentStack
from legoexport.passes.lowerings.grouped import Grouped
from legoexport.passes.lowerings.grouped_dense_merge import GroupedDenseMerge
from legoexport.passes.lowerings.int8 import INT8_LOWERINGS
from legoexport.passes.lowerings.per_fragment import PerFragment
from legoexport.passes.lowerings.winograd_rows import WINOGRAD_ROWS
from legoexport.passes.lowerings.winograd_tiles import WINOGRAD_TILES

__all__ = ["INT8_LOWERINGS", "LOWERINGS", "Footprint", "Lowering", "Site", "Sums", "find_lowering"]

_REGISTERED: tuple[Lowering, ...] = (
    Grouped(),
    GroupedDenseMerge(),
    PerFragment(),
    FragmentBatch(),
    FragmentStack(),
    *WINOGRAD_ROWS,
    *WINOGRAD_TILES,
    Dense(),
)

LOWERINGS: dict[str, Lowering] = {lowering.name: lowering for lowering in _REGISTERED}


def find_lowering(name: str) -> Lowering:
    """Return the lowering called ``name``.

    Raises:
        UsageError: No lowering has that name.
    """
    known = {**LOWERINGS, **INT8_LOWERINGS}
    if name not in known:
        raise UsageError.unknown("lowering", name, known)
    return known[name]

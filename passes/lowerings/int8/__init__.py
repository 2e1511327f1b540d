"""Lowerings of a Lego layer that computes in integers of 8 bits.

Each reads an activation that stands for integers, and the codes of the bank in the place of the
bank. A new one is a file beside this one and a line in ``_REGISTERED``.
"""

from __future__ import annotations

from typing import Protocol

from legoexport.passes.lowerings.base import Lowering, Site
from legoexport.passes.lowerings.int8.dense import Int8Dense
from legoexport.passes.lowerings.int8.footprint import IntegerWork
from legoexport.passes.lowerings.int8.gathered import Int8Gathered
from legoexport.passes.lowerings.int8.grouped import Int8Grouped
from legoexport.passes.lowerings.int8.per_fragment import Int8PerFragment


class IntegerLowering(Lowering, Protocol):
    """A lowering that says what its integers cost."""

    def work(self, site: Site) -> IntegerWork:
        """Count what one image asks of a machine."""
        ...


_REGISTERED: tuple[IntegerLowering, ...] = (
    Int8PerFragment(),
    Int8Grouped(),
    Int8Gathered(),
    Int8Dense(),
)

INT8_LOWERINGS: dict[str, IntegerLowering] = {lowering.name: lowering for lowering in _REGISTERED}

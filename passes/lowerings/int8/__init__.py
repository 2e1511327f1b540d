"""Lowerings of a Lego layer that computes in integers of 8 bits.

Each reads an activation that stands for integers, and the codes of the bank in the place of the
bank. A new one is a file beside this one and a line in ``_REGISTERED``.
"""

from __future__ import annotations

from legoexport.passes.lowerings.base import Lowering
from legoexport.passes.lowerings.int8.dense import Int8Dense
from legoexport.passes.lowerings.int8.grouped import Int8Grouped
from legoexport.passes.lowerings.int8.per_fragment import Int8PerFragment

_REGISTERED: tuple[Lowering, ...] = (Int8PerFragment(), Int8Grouped(), Int8Dense())

INT8_LOWERINGS: dict[str, Lowering] = {lowering.name: lowering for lowering in _REGISTERED}

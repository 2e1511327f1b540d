"""How long a lowering takes on a machine: work, movement, starts, and what the caches do not hold.

    seconds = macs / rate + 4 * floats / bandwidth + nodes * overhead + spilled * a byte's time

What Winograd's tiles move, in steps along both axes, has a bandwidth of its own.
``spilled`` are the bytes by which the maps of the widest operator exceed ``CACHE_BYTES``. The
bandwidth is that of maps that an operator finds in a cache, left there by the one before it.

In integers a convolution copies what its filters cover, multiplies, and rounds every sum to 8 bits:

    seconds = macs / rate + grouped macs / theirs + sums * rounding + copies * a copy's time
              + nodes * overhead
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from legoexport.passes.lowerings import INT8_LOWERINGS, Footprint, Site, find_lowering
from legoexport.passes.machine_constants import BUILT_IN, IntegerRates, Rates, integer_rates

FLOAT_BYTES = 4
CACHE_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Amounts:
    """What a footprint asks of a machine: one number for each of ``Rates``, in their order."""

    macs: int
    moved_bytes: int
    tile_bytes: int
    nodes: int
    spilled_bytes: int

    @classmethod
    def of(cls, footprint: Footprint) -> Amounts:
        """Count bytes, and those that the caches do not hold."""
        alive_bytes = FLOAT_BYTES * footprint.alive
        return cls(
            macs=footprint.compute_bound_macs,
            moved_bytes=FLOAT_BYTES * (footprint.floats - footprint.tile_floats),
            tile_bytes=FLOAT_BYTES * footprint.tile_floats,
            nodes=footprint.nodes,
            spilled_bytes=max(0, alive_bytes - CACHE_BYTES),
        )


def element_bytes(lowering: str) -> int:
    """Bytes of a number that ``lowering`` reads or writes."""
    return 1 if lowering in INT8_LOWERINGS else FLOAT_BYTES


def yardstick(lowerings: Iterable[str]) -> str:
    """Return the dense form of the precision that ``lowerings`` compute in."""
    return "int8_dense" if INT8_LOWERINGS.keys() & set(lowerings) else "dense"


def seconds(site: Site, lowering: str, rates: Rates = BUILT_IN.rates[0]) -> float:
    """Estimate the time of one image through ``lowering``."""
    if lowering in INT8_LOWERINGS:
        return integer_seconds(site, lowering, integer_rates(rates))
    needed = Amounts.of(find_lowering(lowering).footprint(site))
    return (
        needed.macs / rates.macs_per_second
        + needed.moved_bytes / rates.bytes_per_second
        + needed.tile_bytes / rates.tile_bytes_per_second
        + needed.nodes * rates.seconds_per_node
        + needed.spilled_bytes * rates.seconds_per_spilled_byte
    )


def integer_seconds(site: Site, lowering: str, rates: IntegerRates) -> float:
    """Estimate the time of one image through a ``lowering`` in integers."""
    work = INT8_LOWERINGS[lowering].work(site)
    return (
        work.macs / rates.macs_per_second
        + work.grouped_macs / rates.grouped_macs_per_second
        + work.sums * rates.seconds_per_sum
        + work.copies * rates.seconds_per_copy
        + work.nodes * rates.seconds_per_node
    )

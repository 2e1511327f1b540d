"""From times to rates: least squares over relative errors, with no rate below nothing.

A time is a sum of amounts, each times what a unit takes::

    t = macs / rate + moved bytes / bandwidth + tiles' bytes / theirs
        + nodes * overhead + spilled bytes * a byte's time

so that the seconds a unit takes are the unknowns of a linear system, whose rows are divided by the
measured times: a layer of 50 us weighs as much as one of 50 ms. None of them is negative; with five
of them, the best of all subsets that are left at zero is found by trying them all. Integers have a
system of their own, ``passes/cost_model.py`` has both sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import CheckFailed
from legoexport.passes.cost_model import Amounts
from legoexport.passes.lowerings.int8.footprint import IntegerWork
from legoexport.passes.machine_constants import IntegerRates, Rates

# More digits than this are noise, and a file that someone reads.
DIGITS = 4
CALM_STEP = "end what else runs on this machine, and calibrate again"


def fit_rates(threads: int, needed: Sequence[Amounts], taken_s: Sequence[float]) -> Rates:
    """Return the rates under which the cost model comes closest to the times.

    Args:
        threads: What the times were measured with.
        needed: What each layer asks of the machine.
        taken_s: What each layer took (s).

    Raises:
        CheckFailed: The best explanation leaves multiplying or moving without any time.
    """
    relative = np.array([astuple(one) for one in needed], float) / np.array(taken_s)[:, None]
    mac_s, byte_s, tile_byte_s, node_s, spilled_byte_s = _non_negative(relative)
    if not min(mac_s, byte_s, tile_byte_s) > 0:
        raise CheckFailed(
            "these times tell no rate of multiplying from one of moving",
            received=f"{mac_s:.3g} s a multiply-add, {byte_s:.3g} and {tile_byte_s:.3g} s a byte",
            next_step=CALM_STEP,
        )
    return Rates(
        threads,
        macs_per_second=_rounded(1 / mac_s),
        bytes_per_second=_rounded(1 / byte_s),
        tile_bytes_per_second=_rounded(1 / tile_byte_s),
        seconds_per_node=_rounded(node_s),
        seconds_per_spilled_byte=_rounded(spilled_byte_s),
    )


def fit_integer_rates(work: Sequence[IntegerWork], taken_s: Sequence[float]) -> IntegerRates:
    """Return the rates of integers under which the cost model comes closest to the times.

    Args:
        work: What each layer asks of the machine.
        taken_s: What each layer took (s).

    Raises:
        CheckFailed: The best explanation leaves multiplying without any time.
    """
    relative = np.array([astuple(one) for one in work], float) / np.array(taken_s)[:, None]
    mac_s, grouped_mac_s, *others_s = _non_negative(relative)
    if not min(mac_s, grouped_mac_s) > 0:
        raise CheckFailed(
            "these times tell no rate of multiplying integers",
            received=f"{mac_s:.3g} and {grouped_mac_s:.3g} s a multiply-add",
            next_step=CALM_STEP,
        )
    rates = (_rounded(1 / unit_s) for unit_s in (mac_s, grouped_mac_s))
    return IntegerRates(*rates, *map(_rounded, others_s))


def _non_negative(relative: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the x >= 0 that minimizes the distance of ``relative @ x`` from ones."""
    scale = np.abs(relative).max(axis=0)  # else macs and nodes differ by too much for lstsq
    rows, columns = relative.shape
    best, least = np.zeros(columns), float(rows)
    for count in range(1, columns + 1):
        for chosen in map(list, combinations(range(columns), count)):
            part = relative[:, chosen] / scale[chosen]
            found, *_ = np.linalg.lstsq(part, np.ones(rows))
            distance = float(((part @ found - 1) ** 2).sum())
            if found.min() >= 0 and distance < least:
                best, least = np.zeros(columns), distance
                best[chosen] = found / scale[chosen]
    return best


def _rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")

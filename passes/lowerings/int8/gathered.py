"""In integers, one convolution per fragment; the maps of each choice are summed as exact floats.

    X_0 .. X_{o-1} = split(X)
    I_i  = quantize(conv(X_i, w[i] * B[used[i]]))                      maps.py has the scales
    Y[n] = unit[n] * (sum_i code[i, n] * (I_i[index[i, n]] - zero) + bias[n])

DequantizeLinear multiplies by the code, which it takes for the scale of a channel. All that is
added is an integer below 2^24, so floats hold the sums of ``int8_per_fragment`` exactly, and both
forms give the same integers. It moves o*n maps as floats where the dense merge multiplies by the
zeros of a row: the form for small maps with many channels, on processors that multiply integers no
faster than floats, as x86 does without VNNI.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.lego.integers import bias_codes
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Footprint, Site, stored_bias
from legoexport.passes.lowerings.int8.footprint import (
    IntegerWork,
    gathered_footprint,
    gathered_work,
)
from legoexport.passes.lowerings.int8.integers import cast, scales_of
from legoexport.passes.lowerings.int8.maps import merge_codes, why_no_maps
from legoexport.passes.lowerings.int8.per_fragment import fragment_maps

# Floats hold integers up to 2^24; the products of the fragments need the rest.
LARGEST_BIAS_CODE = 2**23


class Int8Gathered:
    """Lower to Split, o times (Conv, Gather, DequantizeLinear), Adds, and Mul."""

    name = "int8_gathered"
    rounding_growth = 1.0
    dilates_groups = False

    def declines(self, site: Site) -> str | None:
        """Decline layers without scales of their maps, and biases that make sums inexact."""
        reason = why_no_maps(site)
        if reason is not None:
            return reason
        largest = int(np.abs(_summed(site).bias).max())
        if largest > LARGEST_BIAS_CODE:
            return f"its bias is {largest} steps of its sums, and floats hold {LARGEST_BIAS_CODE}"
        return None

    def footprint(self, site: Site) -> Footprint:
        """Count the maps, padding included, and what is added of them."""
        return gathered_footprint(site)

    def work(self, site: Site) -> IntegerWork:
        """Count every float that is read as a sum."""
        return gathered_work(site)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add what makes the maps, and for each fragment a term of the sum."""
        frozen, summed = site.frozen, _summed(site)
        zero = scales_of(site).map.zero_array
        zeros = draft.constant("merge", "zero_points", np.full(frozen.n, zero))
        total = draft.constant("merge", "bias", summed.bias.astype(np.float32)[:, None, None])
        maps, _ = fragment_maps(draft, x, bank, site)
        for i, (one, row) in enumerate(zip(maps, frozen.selection.position, strict=True)):
            place = draft.constant("merge", f"position_{i}", row.astype(np.int32))
            chosen = draft.node("merge", f"chosen_{i}", "Gather", [one, place], {"axis": 1})
            column = draft.constant("weights", f"merge_codes_{i}", summed.codes[:, i].reshape(-1))
            code = cast(draft, f"merge_numbers_{i}", column, ir.DataType.FLOAT)
            values = [chosen, code, zeros]
            term = draft.node("merge", f"term_{i}", "DequantizeLinear", values, {"axis": 1})
            total = draft.node("merge", f"sum_{i}", "Add", [term, total])
        each = draft.constant("merge", "unit", summed.unit[:, None, None])
        return draft.node("merge", "numbers", "Mul", [total, each])


class _Summed(NamedTuple):
    """What the merge sums: codes ``(n, o, ...)``, the bias in steps of the sums, and a step."""

    codes: NDArray[np.int8]
    bias: NDArray[np.int32]
    unit: NDArray[np.float32]


def _summed(site: Site) -> _Summed:
    codes, scale = merge_codes(site)
    return _Summed(codes, *bias_codes(stored_bias(site.frozen), scales_of(site).map.scale, scale))

"""Dense, in integers: one convolution whose codes are assembled from those of the bank.

    W[n, fragment i] = coefficient[i, n] * s[j] * B[j]        j = index[i, n], B: codes, s: scales
    r[n]             = max |W[n]| / largest code
    codes[n]         = clip(round(B[j] * (coefficient[i, n] * s[j] / r[n])))
    Y                = conv(X, r * codes) + bias

No arithmetic is saved, only bytes on disk. The weight is rounded a second time.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.lego.integers import row_scale
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Footprint, Site, convolution_attributes, stored_bias
from legoexport.passes.lowerings.int8.footprint import IntegerWork, dense_footprint, dense_work
from legoexport.passes.lowerings.int8.integers import (
    NOT_CALIBRATED,
    Coded,
    bias,
    cast,
    scales_of,
    weight,
)


class Int8Dense:
    """Lower to one Conv on integers; its codes are folded when a session is made."""

    name = "int8_dense"
    rounding_growth = 1.0
    dilates_groups = False

    def declines(self, site: Site) -> str | None:
        """Decline layers without scales."""
        return NOT_CALIBRATED if site.scales is None else None

    def footprint(self, site: Site) -> Footprint:
        """Count the dense convolution."""
        return dense_footprint(site)

    def work(self, site: Site) -> IntegerWork:
        """Count the one convolution."""
        return dense_work(site)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add o times (Gather, Cast, Mul), Concat, Round, Clip, Cast, DequantizeLinear, Conv."""
        frozen, scales = site.frozen, scales_of(site)
        factor, scale = _factors(site)
        blocks = [_block(draft, bank, site, i, factor[i]) for i in range(frozen.o)]
        whole = draft.node("weights", "concat", "Concat", blocks, {"axis": 1})
        rounded = draft.node("weights", "round", "Round", [whole])
        limits = [
            draft.constant("weights", name, np.array(sign * scales.largest_code, np.float32))
            for name, sign in (("smallest_code", -1), ("largest_code", 1))
        ]
        clipped = draft.node("weights", "clip", "Clip", [rounded, *limits])
        codes = cast(draft, "codes", clipped, ir.DataType.INT8)
        row_scales = draft.constant("weights", "scale", scale)
        inputs = [
            x,
            weight(draft, "transform", "weight", Coded(codes, row_scales, frozen.n)),
            bias(draft, "transform", site, scales.input.scale, scale),
        ]
        attributes = convolution_attributes(frozen, group=1)
        return draft.node("transform", "conv", "Conv", inputs, attributes)


def _factors(site: Site) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the codes of a filter are multiplied by ``(o, n)``, and the scale of each row."""
    frozen, scales = site.frozen, scales_of(site)
    bank_scale = scales.bank.scale.astype(np.float64)
    unit = frozen.coefficient.astype(np.float64) * bank_scale[frozen.index]
    largest = np.abs(scales.bank.codes.astype(np.float64)).reshape(frozen.m, -1).max(axis=1)
    magnitude = (np.abs(unit) * largest[frozen.index]).max(axis=0)
    scale = row_scale(magnitude, scales.largest_code, stored_bias(frozen), scales.input.scale)
    return (unit / scale.astype(np.float64)).astype(np.float32), scale


def _block(
    draft: Draft, codes: ir.Value, site: Site, i: int, factor: NDArray[np.float32]
) -> ir.Value:
    """What fragment i adds to the weight, in units of the scales of the rows."""
    rows = draft.constant("weights", f"rows_{i}", site.frozen.index[i].astype(np.int32))
    chosen = draft.node("weights", f"gather_{i}", "Gather", [codes, rows], {"axis": 0})
    numbers = cast(draft, f"cast_{i}", chosen, ir.DataType.FLOAT)
    column = draft.constant("weights", f"factor_{i}", factor.reshape(-1, 1, 1, 1))
    return draft.node("weights", f"scale_{i}", "Mul", [numbers, column])

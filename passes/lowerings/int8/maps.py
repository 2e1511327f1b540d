"""The two halves of a Lego layer in integers: scaled maps, and one dense 1x1 merge of them.

    I[i, j] = conv(X_i, w[i, j] * B[j])                           B: codes; each map fills [-1, 1]
    Y[n]    = sum_i k[i, n] * I[i, j] + bias[n]                   j = index[i, n]
    k[i, n] = coefficient[i, n] * s[j] / w[i, j]                  s: scales of the bank

Calibration chooses w[i, j] = s[j] / (range of the map), so one scale of integers serves all maps
and each uses all 8 bits; the merge takes the range back. The weight of the merge is n*o codes of 8
bits, put into rows of zeros when a session is made: kernels for integers take no sparse weight.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.lego.frozen import FrozenLego, IndexArray
from legoexport.lego.integers import encode_rows
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, filled_width, stored_bias
from legoexport.passes.lowerings.int8.integers import (
    NOT_CALIBRATED,
    Coded,
    bias,
    cast,
    maps_of,
    scales_of,
    weight,
)

# ONNX Runtime's fast kernels for integers take a Conv with so many outputs at least, and in whole
# blocks: of 4 with AVX-512, 8 with AVX2, 16 with the dot products of arm64 (MlasConvSymPackWSize).
# Its other kernels compute 16 channels at a time as well.
BLOCK = 16


def why_no_maps(site: Site) -> str | None:
    """Return why a layer cannot compute its maps in integers, or None if it can."""
    return NOT_CALIBRATED if site.scales is None or site.scales.maps is None else None


def width(frozen: FrozenLego) -> int:
    """Maps of each fragment: the most that any fragment uses, in whole blocks."""
    return filled_width(frozen, BLOCK)


def map_scales(draft: Draft, site: Site) -> ir.Value:
    """Add the scale of the weights of each pair in use, ``(pairs,)``: what calibration gave."""
    return draft.constant("weights", "map_scale", maps_of(site))


def filled_up(frozen: FrozenLego) -> tuple[IndexArray, IndexArray]:
    """Filters and pairs of the maps, ``(o, width)`` each; the last of a fragment fills it up."""
    first, filters, pairs = 0, [], []
    for used in frozen.selection.filters:
        place = np.minimum(np.arange(width(frozen)), len(used) - 1)
        filters.append(used[place])
        pairs.append(first + place)
        first += len(used)
    return np.stack(filters), np.stack(pairs)


def map_weight(
    draft: Draft, bank: ir.Value, scale: ir.Value, rows: tuple[IndexArray, IndexArray], name: str
) -> ir.Value:
    """Return the weight of maps: their filters of the codes ``bank``, their pairs of ``scale``."""
    chosen = []
    for what, source, index in zip(("codes", "scale"), (bank, scale), rows, strict=True):
        place = draft.constant("weights", f"{what}_rows{name}", index.astype(np.int32))
        gather = f"{what}{name}"
        chosen.append(draft.node("weights", gather, "Gather", [source, place], {"axis": 0}))
    return weight(draft, "transform", f"weight{name}", Coded(chosen[0], chosen[1], len(rows[0])))


def merge(draft: Draft, maps: ir.Value, site: Site) -> ir.Value:
    """Add the dense 1x1 Conv that sums ``maps (b, o * width, h', w')``, numbers behind integers."""
    frozen, scales = site.frozen, scales_of(site)
    codes, scale = merge_codes(site)
    table = draft.constant("weights", "merge_codes", codes[:, :, None])
    position = frozen.selection.position.T.astype(np.int32)[:, :, None]
    places = [
        draft.constant("weights", "merge_position", position),
        draft.constant("weights", "places", np.arange(width(frozen), dtype=np.int32)),
    ]
    chosen = draft.node("weights", "is_chosen", "Equal", places)
    one_hot = cast(draft, "one_hot", chosen, ir.DataType.FLOAT)
    numbers = cast(draft, "merge_numbers", table, ir.DataType.FLOAT)
    placed = draft.node("weights", "placed", "Mul", [one_hot, numbers])
    shape = draft.integers("weights", "merge_shape", [frozen.n, frozen.o * width(frozen), 1, 1])
    row = draft.node("weights", "merge_rows", "Reshape", [placed, shape])
    whole = cast(draft, "merge", row, ir.DataType.INT8)
    row_scales = draft.constant("weights", "merge_scale", scale)
    inputs = [
        maps,
        weight(draft, "merge", "weight", Coded(whole, row_scales, frozen.n)),
        bias(draft, "merge", site, scales.map.scale, scale),
    ]
    return draft.node("merge", "sum", "Conv", inputs, {"kernel_shape": [1, 1]})


def merge_numbers(site: Site) -> NDArray[np.float64]:
    """k, ``(o, n)``: what the merge multiplies the map of each choice by."""
    frozen, scales = site.frozen, scales_of(site)
    widths = [len(used) for used in frozen.selection.filters]
    first = np.cumsum([0, *widths[:-1]])[:, None]
    per_map = maps_of(site).astype(np.float64)[frozen.selection.position + first]
    unit = scales.bank.scale.astype(np.float64)[frozen.index] / per_map
    k: NDArray[np.float64] = frozen.coefficient.astype(np.float64) * unit
    return k


def merge_codes(site: Site) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The codes ``(n, o)`` of k, and the scale of each row."""
    frozen, scales, k = site.frozen, scales_of(site), merge_numbers(site).T
    found = encode_rows(k, scales.largest_code, stored_bias(frozen), scales.map.scale)
    return found.codes.astype(np.int8), found.scale

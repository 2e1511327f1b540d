"""The merge that lowerings share: pick each output's maps and add them up.

    Y[n] = sum_i coefficient[i, n] * maps[position[i, n]] + bias[n]

The sum is a grouped 1x1 convolution of the chosen maps, o of them a group. On small maps starting
so many groups takes longer than what they compute; there a group serves a whole block of outputs::

    W[n, (r, i)] = coefficient[i, n] [r = n mod block]          n/block groups of block*o maps

That multiplies block times as often, mostly zeros, and runs in the runtime's blocked layout. An
ONNX file stores n o coefficients either way. Once W is folded, in memory or in ORT format, there
are block times as many. ``Site.sums`` says which form is wanted.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from legoexport.lego.frozen import FrozenLego, IndexArray
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, stored_bias
from legoexport.passes.lowerings.fragments import BLOCK

# Measured in whole networks, AVX-512, one thread: summing by blocks makes VGG16@32 8 % faster with
# maps of up to 64 pixels and no faster with larger ones; at 196 pixels ResNet-50 loses 1 %.
BLOCK_SUM_PIXELS = 64


def gather_and_sum(draft: Draft, maps: ir.Value, position: IndexArray, site: Site) -> ir.Value:
    """Gather the n*o chosen maps, output-major, and sum each o of them in a grouped 1x1 Conv.

    Args:
        draft: Receives the nodes.
        maps: ``(b, any, h', w')``, the intermediate maps.
        position: ``(o, n)``, the channel of ``maps`` that fragment i contributes to output n.
        site: The layer and its place.
    """
    rows = position.T.astype(np.int32).reshape(-1)
    chosen = draft.node(
        "merge", "gather", "Gather", [maps, draft.constant("merge", "index", rows)], {"axis": 1}
    )
    return weighted_sum(draft, chosen, site)


def weighted_sum(draft: Draft, chosen: ir.Value, site: Site) -> ir.Value:
    """Sum each o of the n*o ``chosen`` maps in a grouped 1x1 Conv.

    The Conv always carries a bias, if only zeros: outside NCHWc, ONNX Runtime 1.32 fuses a
    following activation only into a Conv that has one.
    """
    frozen, group = site.frozen, _outputs_per_group(site)
    table = np.ascontiguousarray(frozen.coefficient.T).reshape(frozen.n, frozen.o, 1, 1)
    coefficient = draft.constant("merge", "coefficient", table)
    weight = coefficient if group == 1 else _block_weight(draft, coefficient, frozen)
    inputs = [chosen, weight, draft.constant("merge", "bias", stored_bias(frozen))]
    attributes = {"kernel_shape": [1, 1], "group": frozen.n // group}
    return draft.node("merge", "sum", "Conv", inputs, attributes)


def merge_macs(site: Site) -> int:
    """Multiply-adds of the sum for one image."""
    return _outputs_per_group(site) * site.frozen.o * site.frozen.n * site.output_pixels


def merge_floats(site: Site) -> int:
    """Floats that the merge moves for one image.

    The gather reads and writes the o n chosen maps, the sum reads them and writes n, and these are
    read and written again on their way back into the blocked layout.
    """
    return (3 * site.frozen.o + 3) * site.frozen.n * site.output_pixels


def alive_floats(site: Site, maps_floats: int) -> int:
    """Floats alive where maps are copied, or gathered, or what is gathered is copied."""
    chosen = site.frozen.o * site.frozen.n * site.output_pixels
    return max(site.end_floats, 2 * maps_floats, maps_floats + chosen, 2 * chosen)


def _outputs_per_group(site: Site) -> int:
    small = site.output_pixels <= BLOCK_SUM_PIXELS and site.frozen.n % BLOCK == 0
    return BLOCK if small and site.sums == "by blocks" else 1


def _block_weight(draft: Draft, coefficient: ir.Value, frozen: FrozenLego) -> ir.Value:
    """The (n, o, 1, 1) coefficients on the diagonals of n/block blocks, (n, block*o, 1, 1)."""
    blocks = draft.integers("weights", "block_shape", [-1, BLOCK, 1, frozen.o])
    rows = draft.node("weights", "block_rows", "Reshape", [coefficient, blocks])
    unit = np.eye(BLOCK, dtype=np.float32)[:, :, None]
    diagonal = draft.constant("weights", "block_diagonal", unit)
    placed = draft.node("weights", "block_placed", "Mul", [rows, diagonal])
    shape = draft.integers("weights", "sum_shape", [frozen.n, BLOCK * frozen.o, 1, 1])
    return draft.node("weights", "sum", "Reshape", [placed, shape])

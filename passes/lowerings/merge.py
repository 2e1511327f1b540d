"""The merge that lowerings share: pick each output's maps and add them up.

Y[n] = sum_i coefficient[i, n] * maps[position[i, n]] + bias[n]
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from legoexport.frozen import FrozenLego, IndexArray
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, stored_bias


def gather_and_sum(
    draft: Draft, maps: ir.Value, position: IndexArray, frozen: FrozenLego
) -> ir.Value:
    """Gather the n*o chosen maps, output-major, and sum each o of them in a grouped 1x1 Conv.

    Args:
        draft: Receives the nodes.
        maps: ``(b, any, h', w')``, the intermediate maps.
        position: ``(o, n)``, the channel of ``maps`` that fragment i contributes to output n.
        frozen: The layer.
    """
    rows = position.T.astype(np.int32).reshape(-1)
    chosen = draft.node(
        "merge", "gather", "Gather", [maps, draft.constant("merge", "index", rows)], {"axis": 1}
    )
    return weighted_sum(draft, chosen, frozen)


def weighted_sum(draft: Draft, chosen: ir.Value, frozen: FrozenLego) -> ir.Value:
    """Sum each o of the n*o ``chosen`` maps in a grouped 1x1 Conv.

    The Conv always carries a bias, if only zeros: outside NCHWc, ONNX Runtime 1.32 fuses a
    following activation only into a Conv that has one.
    """
    coefficient = np.ascontiguousarray(frozen.coefficient.T).reshape(frozen.n, frozen.o, 1, 1)
    bias = stored_bias(frozen)
    inputs = [
        chosen,
        draft.constant("merge", "coefficient", coefficient),
        draft.constant("merge", "bias", bias),
    ]
    attributes = {"kernel_shape": [1, 1], "group": frozen.n}
    return draft.node("merge", "sum", "Conv", inputs, attributes)


def merge_macs(site: Site) -> int:
    """Multiply-adds of ``gather_and_sum`` for one image."""
    return site.frozen.o * site.frozen.n * site.output_pixels

"""Dense, rebuilt in the graph: one ordinary convolution whose weight is assembled from the bank.

    W[:, fragment i] = coefficient[i] * lego[index[i]]
    Y = conv(X, concat_i W[:, fragment i]) + bias

No arithmetic is saved, only bytes on disk: for layers too small to repay a merge.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import (
    Footprint,
    Site,
    convolution_attributes,
    filter_taps,
    stored_bias,
)


class Dense:
    """Lower to one Conv; ONNX Runtime folds Gather, Mul and Concat when it loads the file."""

    name = "dense"
    rounding_growth = 1.0
    dilates_groups = False

    def declines(self, site: Site) -> str | None:
        """Serve every layer."""
        del site
        return None

    def footprint(self, site: Site) -> Footprint:
        """Count the dense convolution; nothing is left to merge."""
        frozen = site.frozen
        weight = frozen.n * frozen.o * filter_taps(frozen)
        macs = weight * site.output_pixels
        return Footprint(macs, macs, floats=weight, nodes=1, weights=weight, alive=site.end_floats)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add o times (Gather, Mul), Concat, Conv."""
        frozen = site.frozen
        blocks = []
        for i in range(frozen.o):
            rows = draft.constant("weights", f"rows_{i}", frozen.index[i].astype(np.int32))
            column = frozen.coefficient[i].reshape(-1, 1, 1, 1)
            coefficient = draft.constant("weights", f"coefficient_{i}", column)
            chosen = draft.node("weights", f"gather_{i}", "Gather", [bank, rows], {"axis": 0})
            blocks.append(draft.node("weights", f"scale_{i}", "Mul", [chosen, coefficient]))
        weight = draft.node("weights", "concat", "Concat", blocks, {"axis": 1})
        bias = stored_bias(frozen)
        inputs = [x, weight, draft.constant("transform", "bias", bias)]
        attributes = convolution_attributes(frozen, group=1)
        return draft.node("transform", "conv", "Conv", inputs, attributes)

"""What lowerings in integers are told of a layer: its scales, by calibration and in the graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from legoexport.lego.integers import encode_rows
from legoexport.lego.scales import Affine, LayerScales, Scales
from legoexport.lego.storage import LARGEST_CODE, Encoded, IntegerStore, recover
from legoexport.passes.constants import known_array
from legoexport.passes.lego_op import LegoNode, final_name


@dataclass(frozen=True)
class Integers:
    """How a network computes in integers.

    Attributes:
        scales: What calibration gave.
        store: How large the codes of weights may be.
    """

    scales: Scales
    store: IntegerStore

    def of(self, node: LegoNode) -> LayerScales | None:
        """Return the scales of a layer; None if what enters it has none.

        Those that were read from a file lack what stands between two layers in float.
        """
        affine = _affine(node.x) or self.scales.activations.get(final_name(node.x))
        if affine is None:
            return None
        return LayerScales(
            input=affine,
            bank=bank_codes(node, self.store),
            maps=self.scales.maps.get(node.layer),
            largest_code=int(LARGEST_CODE[self.store]),
        )


def bank_codes(node: LegoNode, store: IntegerStore) -> Encoded:
    """Return the codes of a bank; filters of a few weights were not rounded before and are here."""
    bank = node.frozen.lego
    found = recover(bank, store)
    largest = int(LARGEST_CODE[store])
    return found or encode_rows(bank.astype(np.float64), largest, None, 1.0)


def _affine(x: ir.Value) -> Affine | None:
    """Read the integers that ``x`` stands for from the graph, where it has them already."""
    producer = x.producer()
    if producer is None or producer.op_type != "DequantizeLinear":
        return None
    scale, zero = (known_array(producer.inputs[i]) for i in (1, 2))
    return Affine(float(scale), int(zero), "uint8" if zero.dtype == np.uint8 else "int8")

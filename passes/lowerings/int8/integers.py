"""What the lowerings in integers share: activations and weights behind DequantizeLinear.

ONNX Runtime computes what stands between DequantizeLinear and QuantizeLinear in integers. Weights
are computed from the stored codes of the bank; everything before DequantizeLinear is folded when a
session is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.integers import bias_codes
from legoexport.lego.names import Part
from legoexport.lego.scales import Affine, LayerScales
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, stored_bias

NOT_CALIBRATED = "the layer was not calibrated: convert with --precision int8"


def maps_of(site: Site) -> NDArray[np.float32]:
    """Return the scales of the maps of a layer that was calibrated, ``(pairs,)``.

    Raises:
        UsageError: It was not.
    """
    maps = scales_of(site).maps
    if maps is None:
        raise UsageError(f"layer {site.layer}: {NOT_CALIBRATED}")
    return maps


def scales_of(site: Site) -> LayerScales:
    """Return the scales of a layer that was calibrated.

    Raises:
        UsageError: It was not.
    """
    if site.scales is None:
        raise UsageError(f"layer {site.layer}: {NOT_CALIBRATED}")
    return site.scales


def integers_of(x: ir.Value) -> ir.Value:
    """Return the integers that activation ``x`` stands for."""
    producer = x.producer()
    if producer is None or producer.inputs[0] is None:
        raise UsageError(f"value {x.name} stands for no integers")
    return producer.inputs[0]


def affine_constants(draft: Draft, part: Part, name: str, affine: Affine) -> list[ir.Value]:
    """Add scale and zero point of an activation inside the layer."""
    return [
        draft.constant(part, f"{name}_scale", affine.scale_array),
        draft.constant(part, f"{name}_zero_point", affine.zero_array),
    ]


def quantize(
    draft: Draft, part: Part, name: str, x: ir.Value, constants: list[ir.Value]
) -> ir.Value:
    """Return the integers of ``x``."""
    return draft.node(part, name, "QuantizeLinear", [x, *constants])


def dequantize(
    draft: Draft, part: Part, name: str, x: ir.Value, constants: list[ir.Value]
) -> ir.Value:
    """Return what the integers ``x`` stand for."""
    return draft.node(part, name, "DequantizeLinear", [x, *constants])


@dataclass(frozen=True)
class Coded:
    """A weight as a graph computes it.

    Attributes:
        codes: ``(rows, ...)`` int8.
        scale: ``(rows,)`` float32.
        rows: How many there are.
    """

    codes: ir.Value
    scale: ir.Value
    rows: int


def weight(draft: Draft, part: Part, name: str, coded: Coded) -> ir.Value:
    """Return the weight that codes and scales stand for."""
    zero = draft.constant(part, f"{name}_zero_point", np.zeros(coded.rows, np.int8))
    return draft.node(part, name, "DequantizeLinear", [coded.codes, coded.scale, zero], {"axis": 0})


def bias(draft: Draft, part: Part, site: Site, step: float, scale: NDArray[np.float32]) -> ir.Value:
    """Return the bias of the layer as integers in units of ``step * scale``."""
    codes, unit = bias_codes(stored_bias(site.frozen), step, scale)
    values = [
        draft.constant(part, "bias_codes", codes),
        draft.constant(part, "bias_scale", unit),
        draft.constant(part, "bias_zero_point", np.zeros(len(codes), np.int32)),
    ]
    return draft.node(part, "bias", "DequantizeLinear", values, {"axis": 0})


def cast(draft: Draft, name: str, x: ir.Value, dtype: ir.DataType) -> ir.Value:
    """Cast a constant."""
    return draft.node("weights", name, "Cast", [x], {"to": dtype})

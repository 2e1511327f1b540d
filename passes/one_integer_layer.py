"""A network of one Lego layer that reads integers and gives integers: what is measured of int8.

Between the layers of a network nothing is converted, so nothing is here: the integers come in as
they would from the layer before. Scales are plausible and made up; no time depends on them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.integers import encode_rows
from legoexport.lego.scales import Affine, LayerScales, Scales
from legoexport.lego.storage import LARGEST_CODE
from legoexport.passes.integers import Integers
from legoexport.passes.lower_lego import LowerLego
from legoexport.passes.lowerings import Site
from legoexport.passes.one_layer import one_layer
from legoexport.passes.plan import Plan
from legoexport.passes.quantize_activations import QuantizeActivations
from legoexport.target import CPU

INPUT = Affine.of_range(0, 4, CPU.activations)
OUTPUT = Affine.of_range(-4, 4, CPU.activations)


def integer_site(site: Site) -> Site:
    """Return ``site`` with scales, as calibration would give it."""
    frozen, largest = site.frozen, int(LARGEST_CODE[CPU.codes])
    bank = encode_rows(frozen.lego.astype(np.float64), largest, None, 1.0)
    scales = LayerScales(INPUT, bank, _map_scales(frozen, bank.scale), largest)
    return replace(site, scales=scales)


def lowered_integer_layer(site: Site, lowering: str) -> ir.Model:
    """Return a model of the layer of ``site`` alone, from ``input`` to ``output`` in integers.

    Args:
        site: As ``integer_site`` gives it.
        lowering: One in integers.

    Raises:
        UsageError: The site has no scales.
    """
    if site.scales is None or site.scales.maps is None:
        raise UsageError(f"layer {site.layer} has no scales")
    scales = Scales({"input": INPUT, "output": OUTPUT}, {site.layer: site.scales.maps})
    model = one_layer(site)
    QuantizeActivations(scales)(model)
    LowerLego(Plan({site.layer: lowering}), Integers(scales, CPU.codes))(model)
    _take_integers(model.graph)
    _give_integers(model.graph)
    return model


def _map_scales(frozen: FrozenLego, bank_scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """One over a few standard deviations of each map, for inputs of ``INPUT``, ``(pairs,)``."""
    filters = np.concatenate(frozen.selection.filters)
    deviation = np.sqrt((frozen.lego.reshape(frozen.m, -1).astype(np.float64) ** 2).sum(axis=1))
    reach = INPUT.high * np.maximum(deviation, np.finfo(np.float32).tiny)
    scale: NDArray[np.float32] = (bank_scale / reach)[filters].astype(np.float32)
    return scale


def _take_integers(graph: ir.Graph) -> None:
    """Let the integers enter that the input was rounded to."""
    real = graph.inputs[0]
    (quantize,) = [use.node for use in real.uses()]
    integers = quantize.outputs[0]
    entering = ir.val("input", dtype=ir.DataType.UINT8, shape=real.shape)
    integers.replace_all_uses_with(entering)
    graph.remove(quantize, safe=True)
    graph.inputs[0] = entering


def _give_integers(graph: ir.Graph) -> None:
    """Let the integers leave that stand for the output."""
    numbers = graph.outputs[0]
    dequantize = numbers.producer()
    if dequantize is None or dequantize.inputs[0] is None:
        raise UsageError("the output stands for no integers")
    numbers.name = "output_numbers"
    graph.outputs[0] = dequantize.inputs[0]
    graph.outputs[0].name = "output"
    graph.remove(dequantize, safe=True)

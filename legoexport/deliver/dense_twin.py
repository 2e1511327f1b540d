"""The dense network that computes the same function: the yardstick for speed, size and accuracy."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from legoexport.compile.example import Example, checked_example
from legoexport.compile.freeze import FrozenNetwork
from legoexport.compile.pipeline import choose_plan, lower, prepare
from legoexport.compile.stages import CompileOptions
from legoexport.models.dense_twin import expand_lego
from legoexport.models.round_weights import round_weights
from legoexport.quantize.settle import CalibrationOptions, settle_scales


def convert_dense_twin(
    module: nn.Module,
    example: Example,
    options: CompileOptions,
    calibrate: CalibrationOptions | None = None,
) -> bytes:
    """Compile the dense network that computes the same function.

    Every Lego layer becomes an ordinary convolution with the assembled weight; the same passes run.
    If the file computes in int8, so does its twin, calibrated with the same images.
    """
    dense = _dense(module, options)
    network = FrozenNetwork(dense, layers={}, audits=(), agreement=0.0)
    # A twin in float computes with the weights that the file stores, and stores them whole.
    whole = replace(options, plan=None, store="fp32", scales=None)
    prepared = prepare(network, checked_example(example), whole)
    if options.precision == "int8":
        prepared, _ = settle_scales(prepared, calibrate)
    compiled = lower(prepared, choose_plan(prepared))
    return bytes(compiled.model.SerializeToString(deterministic=True))


def _dense(module: nn.Module, options: CompileOptions) -> nn.Module:
    """Assemble the weights: those that the file stores or, for integers, those of the training."""
    if options.precision == "fp32":
        return expand_lego(round_weights(module, options.store)).eval()
    return round_weights(expand_lego(module).eval(), options.final_store)

"""Whole backbones on XNNPACK's own kernels, by every lowering: parity, and where they ran."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import lower, prepare
from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.deliver.prove import rounding_growth
from legoexport.models.registry import build, input_shape
from legoexport.parity.inputs import InputSet, random_inputs
from legoexport.parity.judge import combine
from legoexport.parity.judge_outputs import judge_outputs
from legoexport.parity.reference import Reference, ReferenceNetwork
from legoexport.passes.lowerings import LOWERINGS
from legoexport.runtimes import Feed, find_runtime
from legoexport.runtimes.view import convolutions_line
from runtime_tests.networks import plan_where_it_serves, randomize

pytestmark = [pytest.mark.runtimes, pytest.mark.usefixtures("needs_node")]

BATCH = 2
SMALL: dict[str, object] = {"classes": 10, "input_size": 32}
BACKBONES: dict[str, tuple[str, dict[str, object]]] = {
    "vgg16": ("lego_vgg16", {"o": 2, "m_ratio": 0.5}),
    "resnet50": ("lego_resnet50", {}),
    "mobilenet": ("lego_mobilenet", {}),
}


@lru_cache
def network(backbone: str) -> tuple[Prepared, tuple[InputSet, ...], list[Reference]]:
    """A backbone with a fixed batch, what goes in, and what PyTorch makes of it."""
    arch, own = BACKBONES[backbone]
    hyperparameters = SMALL | own
    torch.manual_seed(0)
    module = randomize(build(arch, **hyperparameters))
    shape = input_shape(arch, hyperparameters)
    example = torch.zeros(BATCH, *shape)
    options = CompileOptions(dynamic_batch=False)
    inputs = random_inputs(shape, BATCH)
    references = [ReferenceNetwork(module).run(one.images) for one in inputs]
    return prepare(freeze(module, example), example, options), inputs, references


@pytest.mark.parametrize("name", LOWERINGS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_parity_with_no_convolution_left_on_the_cpu(backbone: str, name: str) -> None:
    prepared, inputs, references = network(backbone)
    compiled = lower(prepared, plan_where_it_serves(prepared, name))
    feeds = [Feed(one.images, BATCH) for one in inputs]
    replay = find_runtime("xnnpack").run(compiled.model.SerializeToString(), feeds)
    growth = rounding_growth(compiled) * replay.rounding_growth
    outputs = [(one,) for one in replay.outputs]
    agreements = judge_outputs(inputs, references, outputs, growth=growth)
    assert combine(agreements).passed, agreements
    line = convolutions_line(replay.placement)
    assert line.startswith("all ")
    assert line.endswith("on xnnpack")

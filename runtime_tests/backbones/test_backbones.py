"""Whole backbones through every lowering, and a published checkpoint down the whole road."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest
import torch

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import lower, prepare
from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.deliver.convert import convert_module
from legoexport.deliver.prove import hold_invariants, rounding_growth
from legoexport.models.registry import build, input_shape
from legoexport.ort.session import RuntimeModel
from legoexport.parity.inputs import InputSet, random_inputs
from legoexport.parity.judge import combine
from legoexport.parity.judge_outputs import judge_sets
from legoexport.parity.reference import Reference, ReferenceNetwork
from legoexport.passes.lowerings import LOWERINGS
from runtime_tests.networks import plan_where_it_serves, randomize

pytestmark = pytest.mark.heavy

SMALL: dict[str, object] = {"classes": 10, "input_size": 32}
BACKBONES: dict[str, tuple[str, dict[str, object]]] = {
    "vgg16": ("lego_vgg16", {"form": "paper"}),
    "vgg16 published": ("lego_vgg16", {"form": "published"}),
    "vgg16 o=4": ("lego_vgg16", {"o": 4, "m_ratio": 0.25}),
    "resnet20": ("lego_resnet20", {}),
    "resnet50": ("lego_resnet50", {}),
    "mobilenet": ("lego_mobilenet", {}),
}


@dataclass(frozen=True)
class Backbone:
    """A network before its lowerings, what goes in, and what PyTorch makes of that."""

    prepared: Prepared
    inputs: tuple[InputSet, ...]
    references: tuple[Reference, ...]


@lru_cache(maxsize=1)
def backbone(name: str) -> Backbone:
    """Export the network and run it in PyTorch once for all lowerings."""
    arch, own = BACKBONES[name]
    hyperparameters = {**SMALL, **own}
    torch.manual_seed(0)
    module = randomize(build(arch, **hyperparameters))
    shape = input_shape(arch, hyperparameters)
    example, inputs = torch.zeros(1, *shape), random_inputs(shape, None)
    prepared = prepare(freeze(module, example), example, CompileOptions())
    references = tuple(ReferenceNetwork(module).run(*one.arrays) for one in inputs)
    return Backbone(prepared, inputs, references)


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("name", BACKBONES)
def test_parity_at_32_pixels(name: str, lowering: str) -> None:
    """As ``convert_module`` proves a file."""
    network = backbone(name)
    compiled = lower(network.prepared, plan_where_it_serves(network.prepared, lowering))
    model_bytes = compiled.model.SerializeToString()
    hold_invariants(compiled, model_bytes, network.prepared)
    model, growth = RuntimeModel(model_bytes, 1), rounding_growth(compiled)
    agreement = combine(judge_sets(model, network.inputs, network.references, growth=growth))
    assert agreement.passed
    assert agreement.relative_error <= 1e-5


@pytest.mark.parametrize("arch", ["lego_vgg16", "lego_resnet50", "lego_mobilenet"])
def test_parity_at_224_pixels(arch: str) -> None:
    hyperparameters: dict[str, object] = {"classes": 1000, "input_size": 224}
    torch.manual_seed(0)
    module = randomize(build(arch, **hyperparameters))
    conversion = convert_module(module, torch.zeros(1, 3, 224, 224))
    assert conversion.agreement.passed


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "legoexport", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_published_checkpoint_needs_no_flag(tmp_path: Path) -> None:
    module = randomize(build("lego_vgg16", form="published", o=4, m_ratio=0.25))
    renamed = {}
    for name, tensor in module.state_dict().items():
        layer, _, leaf = name.rpartition(".")
        published = {"mask_logits": "aux_combination", "coefficients": "aux_coefficients"}.get(leaf)
        renamed[f"module.{layer}.{published}" if published else f"module.{name}"] = (
            tensor[..., None, None] if published else tensor
        )
    torch.save({"state_dict": renamed, "epoch": 3}, tmp_path / "weights.pth")
    summary = json.loads(run(tmp_path, "convert", "weights.pth", "--out", "m.onnx", "--json"))
    assert summary["form"].startswith("published")
    assert summary["parity"]["passed"]
    assert "parity reached" in run(tmp_path, "verify", "weights.pth", "m.onnx")

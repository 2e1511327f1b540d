"""Whole backbones through every lowering, and a published checkpoint down the whole road."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from torch import nn

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import prepare
from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.deliver.convert import convert_module
from legoexport.models.registry import build, input_shape
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


@lru_cache(maxsize=1)
def network(name: str) -> tuple[nn.Module, torch.Tensor, Prepared]:
    arch, own = BACKBONES[name]
    hyperparameters = {**SMALL, **own}
    torch.manual_seed(0)
    module = randomize(build(arch, **hyperparameters))
    example = torch.zeros(1, *input_shape(arch, hyperparameters))
    return module, example, prepare(freeze(module, example), example, CompileOptions())


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("name", BACKBONES)
def test_parity_at_32_pixels(name: str, lowering: str) -> None:
    module, example, prepared = network(name)
    plan = plan_where_it_serves(prepared, lowering)
    conversion = convert_module(module, example, CompileOptions(plan=plan))
    assert conversion.agreement.passed
    assert conversion.agreement.relative_error <= 1e-5


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

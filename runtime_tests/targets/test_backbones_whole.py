"""The promise of each target, on the three backbones of the paper."""

from __future__ import annotations

import json
from functools import lru_cache

import pytest
import torch

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.deliver.ort_format import to_ort_format
from legoexport.models.registry import build, input_shape
from legoexport.ort.partitions import check_partitions
from legoexport.passes.preference import Preference
from legoexport.target import ARM64, find_target
from runtime_tests.networks import randomize

pytestmark = pytest.mark.heavy


@lru_cache(maxsize=1)
def module_of(arch: str, size: int) -> tuple[torch.nn.Module, torch.Tensor]:
    hyperparameters: dict[str, object] = {"classes": 10, "input_size": size}
    torch.manual_seed(0)
    module = randomize(build(arch, **hyperparameters))
    return module, torch.zeros(1, *input_shape(arch, hyperparameters))


@pytest.mark.parametrize("target_name", ["nnapi", "coreml"])
@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize("arch", ["lego_vgg16", "lego_resnet50", "lego_mobilenet"])
def test_one_partition_and_parity(arch: str, size: int, target_name: str) -> None:
    module, example = module_of(arch, size)
    conversion = convert_module(module, example, CompileOptions(find_target(target_name)))
    assert conversion.agreement.passed
    found = check_partitions(conversion.model_bytes)
    assert len(found) == 3
    assert all(one.whole for one in found), "\n".join(map(str, found))


def test_only_the_bank_as_weight_keeps_an_ort_file_small() -> None:
    """VGG16 at 32 pixels: what folding costs, lowering by lowering (docs/targets.md)."""
    module, example = module_of("lego_vgg16", 32)
    growth_ratios = {}
    for lowering in ("fragment_batch", "per_fragment", "grouped", "grouped_dense_merge", "dense"):
        others = tuple(name for name in ARM64.lowerings if name != lowering)
        target = type(ARM64)(**{**vars(ARM64), "lowerings": (lowering, *others)})
        options = CompileOptions(target, preference=Preference(ort_format=True))
        content = convert_module(module, example, options).model_bytes
        ort = to_ort_format(content, fuse=target.fuses_offline)
        growth_ratios[lowering] = len(ort.model_bytes) / len(content)
    assert list(growth_ratios) == sorted(growth_ratios, key=growth_ratios.__getitem__)
    # The bank stays as it is, and so do the coefficients of sums output by output.
    assert growth_ratios["fragment_batch"] < 1.01
    assert growth_ratios["per_fragment"] > 1.5, json.dumps(growth_ratios)

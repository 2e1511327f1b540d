"""Sums in order: the same functions, with the rounding that a runtime's sums may have."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from torch import Tensor, nn
from torch.nn import functional as F

from legoexport.deliver.convert import convert_module
from legoexport.models import sum_in_order
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.sum_in_order import added_in_order, summing_in_order
from legoexport.parity.agreement import FACTOR, FLOOR
from legoexport.parity.judge_outputs import check_model

UNIT_ROUNDOFF = 2.0**-24
CHANNELS = 16  # a block of any processor's layout
SUMMED: dict[str, Callable[[Tensor], Tensor]] = {
    "sum of all": torch.sum,
    "sum of channels": lambda x: x.sum(1),
    "mean of all": torch.mean,
    "mean of a map": lambda x: x.mean((-1, 2), keepdim=True),
    "pool": lambda x: F.adaptive_avg_pool2d(x, 1),
    "pool in 3d": lambda x: F.adaptive_avg_pool3d(x, 1),
    "variance": lambda x: x.var((2, 3)),
    "variance of all": torch.var,
    "deviation": lambda x: x.std(1, correction=0, keepdim=True),
    "variance, not the mean": lambda x: torch.var_mean(x, (1,))[0],
    "norm": lambda x: x.norm(dim=1),
    "normalised": F.normalize,
    "norm of another order": lambda x: x.norm(p=3, dim=(2, 3)),
    "layer norm": lambda x: F.layer_norm(x, x.shape[2:], x[0, 0] + 1, x[1, 1]),
    "layer norm without weights": lambda x: F.layer_norm(x, x.shape[1:]),
    "group norm": lambda x: F.group_norm(x, 2, x[0, :, 0, 0] + 1, x[0, :, 1, 1]),
    "instance norm": lambda x: F.instance_norm(x, weight=x[0, :, 0, 0], bias=x[0, :, 1, 1]),
    "batch norm": lambda x: F.batch_norm(x, x[0, :, 0, 0], 1 + x[0, :, 1, 1] ** 2),
    "running sum": lambda x: x.cumsum(2),
}


@given(length=st.integers(0, 60), seed=st.integers(0, 999))
def test_numbers_are_added_from_the_first_to_the_last(length: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((2, 3, length)).astype(np.float32)
    total = np.zeros((2, 3), np.float32)
    for place in range(length):
        total = total + rows[..., place]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sum_in_order, "BLOCK_LENGTH", 7)
        assert np.array_equal(added_in_order(rows), total)


@pytest.mark.parametrize("name", SUMMED)
def test_the_function_stays_and_float64_is_left_alone(name: str) -> None:
    x = torch.rand((3, 4, 5, 6), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    exact = SUMMED[name](x)
    with summing_in_order():
        rounded, untouched = SUMMED[name](x.float()), SUMMED[name](x)
    assert torch.equal(untouched, exact)
    assert rounded.shape == exact.shape
    # As many roundings as the longest sum has terms; a small variance multiplies them by up to 20.
    tolerance = 20 * x.numel() * UNIT_ROUNDOFF * float(exact.abs().max())
    assert float((rounded - exact).abs().max()) <= tolerance


def test_integers_are_left_alone() -> None:
    with summing_in_order():
        assert int(torch.full((4,), 2**40).sum()) == 2**42


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_a_sum_has_the_type_that_is_asked_for(dtype: torch.dtype) -> None:
    x = torch.full((3, 4), 1.75)
    with summing_in_order():
        sums = [x.sum(dtype=dtype), x.sum(1, dtype=dtype), x.cumsum(0, dtype=dtype)]
    # Quarters are exact in every type; integers are made of them before they are added.
    each = 1.0 if dtype == torch.int64 else 1.75
    assert [one.dtype for one in sums] == [dtype] * 3
    assert [float(one.flatten()[-1]) for one in sums] == [12 * each, 4 * each, 3 * each]


@cache
def pooled_in_blocks() -> ort.InferenceSession:
    """A convolution that changes nothing brings its map into ONNX Runtime's blocked layout."""
    identity = np.eye(CHANNELS, dtype=np.float32).reshape(CHANNELS, CHANNELS, 1, 1)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["same"]),
        helper.make_node("GlobalAveragePool", ["same"], ["y"]),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", CHANNELS, *size])
        for name, size in (("x", ["height", "width"]), ("y", [1, 1]))
    )
    stored = helper.make_tensor("w", TensorProto.FLOAT, identity.shape, identity.ravel())
    graph = helper.make_graph(nodes, "pool", [x], [y], [stored])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@settings(max_examples=30, deadline=None)
@example(height=220, width=220, offset=0.0, seed=0)
@example(height=220, width=220, offset=9.0, seed=1)
@given(
    height=st.integers(1, 160),
    width=st.integers(1, 160),
    offset=st.sampled_from([0.0, 1.0, 9.0]),
    seed=st.integers(0, 999),
)
def test_the_limit_counts_the_long_sum_of_a_mean_over_a_map_of_any_size(
    height: int, width: int, offset: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = (offset + np.maximum(rng.standard_normal((1, CHANNELS, height, width)), 0)).astype("f4")
    exact = x.astype(np.float64).mean(axis=(2, 3))
    in_order = (added_in_order(x.reshape(CHANNELS, -1)) / np.float32(height * width))[None]
    (pooled,) = pooled_in_blocks().run(None, {"x": x})
    actual = pooled.reshape(exact.shape)
    own, runtime = (float(np.abs(y - exact).max()) for y in (in_order, actual))
    assert runtime <= max(FACTOR * own, FLOOR * float(np.abs(exact).max()))


def test_a_mean_over_a_large_map_is_converted_and_a_wrong_entry_still_fails() -> None:
    torch.manual_seed(2)  # PyTorch's own sums left this one at 1.9 of its limit
    network = nn.Sequential(
        LegoConv2d(8, 16, 3, o=2, m=4, padding=1),
        nn.ReLU(),
        LegoConv2d(16, 16, 3, o=2, m=8, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    ).eval()
    conversion = convert_module(network, torch.zeros(1, 8, 220, 220))
    assert conversion.agreement.passed
    wrong = copy.deepcopy(network)
    with torch.no_grad():
        wrong[0].lego[1, 2, 0, 1] *= 1.01  # type: ignore[index, operator]
    assert not check_model(wrong, conversion.model_bytes, (8, 220, 220), growth=1.0).passed

"""Releases of ONNX Runtime that compute wrong numbers on arm64 without a word, and what does it.

docs/arm64.md tells the cause. These tests hold what is written there, and that the check finds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from legoexport.lego.frozen import FrozenLego
from legoexport.ort.session import RuntimeModel
from legoexport.runtimes import Feed, find_runtimes
from legoexport.runtimes.arm64.processors import WITHOUT_SME
from runtime_tests.layers import lowered

pytestmark = [pytest.mark.runtimes, pytest.mark.usefixtures("needs_arm64")]

BAD_CACHE, BAD_PADDING = "1.24.1", "1.27.0"
HASHED_COUNT = 16
CHANNELS, SIZE = 8, 8
RNG = np.random.default_rng(0)
# Far above any rounding, far below what was measured: 0.19 to 0.9.
WRONG = 0.05
RIGHT = 1e-5


@dataclass(frozen=True)
class Small:
    """A model, and one image for it."""

    model: bytes
    x: np.ndarray


def convolutions(*weights: np.ndarray, pads: tuple[int, int, int, int] = (1, 1, 1, 1)) -> Small:
    """Convolutions of one image by each of the weights, in this order, joined."""
    names = [f"weight_{i}" for i in range(len(weights))]
    outputs = [f"y_{i}" for i in range(len(weights))]
    nodes = [
        helper.make_node("Conv", ["x", name], [y], kernel_shape=[3, 3], pads=pads)
        for name, y in zip(names, outputs, strict=True)
    ]
    nodes.append(helper.make_node("Concat", outputs, ["y"], axis=1))
    shape = (1, weights[0].shape[1], SIZE, SIZE)
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w, name) for w, name in zip(weights, names, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    return Small(model.SerializeToString(), x)


def weight() -> np.ndarray:
    return RNG.standard_normal((CHANNELS, CHANNELS, 3, 3)).astype(np.float32)


def alike(count: int) -> Small:
    """Two convolutions whose weights agree in the first ``count`` numbers and nowhere else."""
    first, second = weight(), weight()
    second.reshape(-1)[:count] = first.reshape(-1)[:count]
    return convolutions(first, second)


def lego_layer(lowering: str, used: tuple[tuple[int, ...], tuple[int, ...]]) -> Small:
    """A Lego layer with two fragments that use the given filters of the bank."""
    rng = np.random.default_rng(0)
    frozen = FrozenLego(
        lego=rng.standard_normal((4, CHANNELS, 3, 3)).astype(np.float32),
        index=np.array(used, dtype=np.int64),
        coefficient=rng.standard_normal((2, len(used[0]))).astype(np.float32),
        bias=None,
        padding=(1, 1),
    )
    x = np.random.default_rng(1).standard_normal((1, 2 * CHANNELS, SIZE, SIZE)).astype(np.float32)
    return Small(ir.to_proto(lowered(frozen, SIZE, SIZE, lowering)).SerializeToString(), x)


def error(small: Small, processor: str = "max", version: str = BAD_CACHE) -> float:
    """The largest error against this process, relative to the output's range."""
    (runtime,) = find_runtimes(f"arm64:{processor}", 1, version)
    replay = runtime.run(small.model, [Feed(small.x, 1)])
    assert replay.runtime.startswith(f"onnxruntime {version} on {processor} under qemu")
    assert ("which has SME" in replay.runtime) == (processor == "max")
    expected = RuntimeModel(small.model, 1, optimize=False).run(small.x, 1)
    return float(np.abs(replay.outputs[0] - expected).max() / np.ptp(expected))


def test_two_convolutions_whose_weights_start_alike() -> None:
    assert error(alike(HASHED_COUNT)) > WRONG


def test_one_number_less_alike_and_it_is_right() -> None:
    assert error(alike(HASHED_COUNT - 1)) < RIGHT


@pytest.mark.parametrize(
    ("processor", "version"),
    [(WITHOUT_SME, BAD_CACHE), ("neoverse-n1", BAD_CACHE), ("max", "1.32.0")],
)
def test_another_processor_or_release_is_right(processor: str, version: str) -> None:
    assert error(alike(HASHED_COUNT), processor, version) < RIGHT


@pytest.mark.parametrize("lowering", ["per_fragment", "grouped"])
def test_two_fragments_that_start_with_the_same_lego_filter(lowering: str) -> None:
    assert error(lego_layer(lowering, ((0, 1, 2), (0, 1, 3)))) > WRONG


@pytest.mark.parametrize(
    ("lowering", "used"),
    [
        ("fragment_batch", ((0, 1, 2), (0, 1, 3))),  # a batch of two takes other kernels
        ("fragment_stack", ((0, 1, 2), (0, 1, 3))),  # has the bank in one convolution
        ("per_fragment", ((0, 1, 2), (1, 2, 3))),  # starts with another filter
        ("per_fragment", ((0, 1, 2), (0, 1, 0))),  # another number of filters
    ],
)
def test_what_does_not_meet_in_the_cache_is_right(
    lowering: str, used: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    assert error(lego_layer(lowering, used)) < RIGHT


def test_padding_that_differs_between_height_and_width() -> None:
    small = convolutions(weight(), pads=(1, 0, 1, 0))
    assert error(small, version=BAD_PADDING) > WRONG
    assert error(small, WITHOUT_SME, BAD_PADDING) < RIGHT


@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (0, 0, 1, 1)])
def test_padding_that_does_not_is_right(pads: tuple[int, int, int, int]) -> None:
    assert error(convolutions(weight(), pads=pads), version=BAD_PADDING) < RIGHT

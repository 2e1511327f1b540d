"""The nodes that scale pictures give what the numbers say, to the bit, and add little to a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from legoexport.errors import UsageError
from legoexport.lego.resampling import Resize, Size
from legoexport.passes.pixel_blocks import Blocks
from legoexport.passes.resize_pixels import ResizePixels

SIZES = st.tuples(st.integers(1, 50), st.integers(1, 50))


# Twice as large, so that weights are multiples of 2**-7 and one sum in 128 lies between two levels.
TIES = Resize((20, 20), (40, 40))


def resized(
    resize: Resize, channels: int = 3, batch: int | str = "batch", *, opset: int = 17
) -> Any:
    """A graph that gives the pixels that it takes, once scaled."""
    shape, kind = [batch, *resize.size, channels], onnx.TensorProto.UINT8
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["y"])],
        "one",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=8))
    rewrite = ResizePixels(resize.source)
    proto = ir.to_proto(rewrite(model).model)
    assert rewrite.resize == resize
    onnx.checker.check_model(proto, full_check=True)
    return proto


def run(model: Any, pictures: Any, *, threads: int = 1) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (y,) = session.run(None, {"image": pictures})
    return y


@settings(max_examples=60, deadline=None)
@given(source=SIZES, size=SIZES, channels=st.sampled_from([1, 3]), seed=st.integers(0, 2**32 - 1))
@example(source=(96, 128), size=(32, 32), channels=3, seed=0)
@example(source=(128, 96), size=(33, 31), channels=3, seed=1)
@example(source=(90, 40), size=(37, 41), channels=1, seed=2)
@example(source=(20, 30), size=(20, 20), channels=3, seed=3)
@example(source=(200, 200), size=(7, 7), channels=3, seed=4)
@example(source=(9, 11), size=(40, 50), channels=3, seed=5)
@example(source=TIES.source, size=TIES.size, channels=3, seed=6)
def test_it_gives_every_bit(source: Size, size: Size, channels: int, seed: int) -> None:
    assume(source != size)
    resize, rng = Resize(source, size), np.random.default_rng(seed)
    shape = (2, *source, channels)
    levels = rng.integers(0, 256, shape), 255 * rng.integers(0, 2, shape)
    pictures = np.concatenate(levels).astype(np.uint8)
    found = run(resized(resize, channels), pictures, threads=1 + seed % 2)
    np.testing.assert_array_equal(found, resize.applied(pictures))


@pytest.mark.parametrize(
    ("source", "size", "parts"),
    [
        ((480, 640), (224, 224), [2, 2]),
        ((3000, 4000), (224, 224), [2, 2]),
        ((100, 100), (224, 224), [2, 2]),
        ((300, 300), (3, 3), [1, 1]),
    ],
)
def test_float32_sums_weights_in_parts_only_where_it_holds_every_sum(
    source: Size, size: Size, parts: list[int]
) -> None:
    passes = Resize(source, size).passes
    blocks = [Blocks.of(taps, source[axis]) for axis, taps in passes]
    assert [one.parts for one in blocks] == parts
    for one in (one for one in blocks if one.parts == 2):
        low = (one.taps.weights + 2**10) % 2**11 - 2**10
        high = (one.taps.weights - low) // 2**11
        for part in (low, high):
            assert 255 * np.abs(part).sum(axis=1).max() <= 2**24


@pytest.mark.parametrize(
    ("source", "size", "opset"),
    [((300, 300), (3, 3), 17), ((40, 31), (20, 20), 18), ((40, 31), (20, 20), 21)],
)
def test_in_double_and_in_later_opsets_it_gives_every_bit(
    source: Size, size: Size, opset: int
) -> None:
    resize = Resize(source, size)
    pictures = np.random.default_rng(0).integers(0, 256, (3, *source, 3), np.uint8)
    found = run(resized(resize, opset=opset), pictures)
    np.testing.assert_array_equal(found, resize.applied(pictures))


@pytest.mark.parametrize("name", ["rows/weight/taps", "columns/weight/taps", "columns/scale"])
def test_a_weight_off_by_one_and_a_scale_that_lifts_no_ties_change_pixels(name: str) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (9, *TIES.source, 3), np.uint8)
    model, right = resized(TIES), TIES.applied(pictures)
    np.testing.assert_array_equal(run(model, pictures), right)
    held = next(one for one in model.graph.initializer if one.name == f"image/resize/{name}")
    array = numpy_helper.to_array(held).copy()
    if array.ndim:
        array[np.argmax(array)] -= 1
    else:
        array = np.array(2**10, np.float32)
    held.CopyFrom(numpy_helper.from_array(array, held.name))
    assert (run(model, pictures) != right).any()


@pytest.mark.parametrize("source", [(480, 640), (1080, 1920), (640, 480)])
def test_the_file_holds_weights_and_the_session_makes_blocks_of_them(
    source: Size, tmp_path: Any
) -> None:
    model = resized(Resize(source, (224, 224)), batch=1)
    assert model.ByteSize() < 64_000
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    made = onnx.load(options.optimized_model_filepath).graph.node
    assert not [node.name for node in made if "/weight/" in node.name]
    assert [node.op_type for node in made].count("MatMul") == 2


def test_nothing_is_scaled_to_its_own_size() -> None:
    with pytest.raises(UsageError, match="pictures of this size already"):
        resized(Resize((8, 9), (8, 9)))


def test_the_names_tell_what_it_is() -> None:
    model = resized(Resize((40, 30), (20, 20)))
    (image,) = model.graph.input
    assert image.name == "image"
    assert [one.dim_param or one.dim_value for one in image.type.tensor_type.shape.dim] == [
        "batch", 40, 30, 3
    ]  # fmt: skip
    *nodes, last = model.graph.node
    assert all(node.name.startswith("image/resize/") for node in nodes)
    assert list(last.input) == ["image/resized"]

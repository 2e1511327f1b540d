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
from onnx import helper

from legoexport.errors import UsageError
from legoexport.lego.resampling import Resize, Size
from legoexport.passes.resize_pixels import ResizePixels

SIZES = st.tuples(st.integers(1, 50), st.integers(1, 50))


def resized(resize: Resize, channels: int = 3, batch: int | str = "batch") -> Any:
    """A graph that gives the pixels that it takes, once scaled."""
    shape, kind = [batch, *resize.size, channels], onnx.TensorProto.UINT8
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["y"])],
        "one",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    opsets = [helper.make_opsetid("", 17)]
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
def test_it_gives_every_bit(source: Size, size: Size, channels: int, seed: int) -> None:
    assume(source != size)
    resize, rng = Resize(source, size), np.random.default_rng(seed)
    shape = (2, *source, channels)
    levels = rng.integers(0, 256, shape), 255 * rng.integers(0, 2, shape)
    pictures = np.concatenate(levels).astype(np.uint8)
    found = run(resized(resize, channels), pictures, threads=1 + seed % 2)
    np.testing.assert_array_equal(found, resize.applied(pictures))


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

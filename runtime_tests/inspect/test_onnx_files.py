"""Files that are not ours, or damaged, are refused with the reason; nothing else happens."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from legoexport.errors import UsageError
from legoexport.inspect.inventory_onnx import load_model, summarize_model
from legoexport.lego.layer_records import LAYERS_KEY

RECORD = {
    "layer": "features.3",
    "input": "x",
    "output": "y",
    "lowering": "grouped",
    "o": 2,
    "m": 4,
    "n": 8,
    "c": 8,
    "kernel": [3, 3],
    "stride": [1, 1],
    "padding": [1, 1],
    "dilation": [1, 1],
    "input_size": [16, 16],
    "filters_used": 4,
    "pairs_used": 7,
}


def model(*nodes: onnx.NodeProto, shape: tuple[int | str, ...] = ("batch", 8, 4, 4)) -> bytes:
    """A graph of ``nodes`` from "x" to "y" over the weights W (6, 8, 3, 3), V (8, 5), G (6, 96)."""
    weights = {"W": (6, 8, 3, 3), "V": (4, 5), "G": (96, 6)}
    tensors = [
        helper.make_tensor(name, TensorProto.FLOAT, dims, bytes(4 * _size(dims)), raw=True)
        for name, dims in weights.items()
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "graph", [x], [y], tensors)
    return bytes(helper.make_model(graph).SerializeToString())


def _size(dims: tuple[int, ...]) -> int:
    size = 1
    for dim in dims:
        size *= dim
    return size


def with_layers(model_bytes: bytes, metadata: str) -> onnx.ModelProto:
    proto = onnx.load_from_string(model_bytes)
    proto.metadata_props.add(key=LAYERS_KEY, value=metadata)
    return proto


CONV = helper.make_node("Conv", ["x", "W"], ["y"], name="head", strides=[1, 1])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*gone\.onnx"):
        load_model(tmp_path / "gone.onnx")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_model(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("this is no protocol buffer")
    with pytest.raises(UsageError, match="not an ONNX file"):
        load_model(path)


def test_a_file_without_the_tensors_that_it_keeps_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "external.onnx"
    proto = onnx.load_from_string(model(CONV))
    onnx.save(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(UsageError, match=r"(?s)external\.onnx lacks tensors.*w\.bin"):
        load_model(path)


def test_a_file_of_another_program_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no legoexport\.layers metadata"):
        summarize_model(onnx.load_from_string(model(CONV)))


@pytest.mark.parametrize(
    "damage",
    [
        {"o": 3},
        {"m": 0},
        {"n": "8"},
        {"n": True},
        {"kernel": [3]},
        {"kernel": [0, 3]},
        {"padding": [-1, 0]},
        {"input_size": None},
        {"input_size": [1, 1], "padding": [0, 0]},
        {"layer": 5},
        {"output": None},
        {"filters_used": 5},
        {"pairs_used": 9},
    ],
    ids=str,
)
def test_damaged_records_are_refused(damage: dict[str, object]) -> None:
    metadata = json.dumps([RECORD | damage])
    with pytest.raises(UsageError, match="damaged"):
        summarize_model(with_layers(model(CONV), metadata))


@given(st.text(max_size=20) | st.integers().map(str) | st.just("[1]") | st.just("[{}]"))
def test_metadata_that_is_no_list_of_layers_is_refused(metadata: str) -> None:
    with pytest.raises(UsageError, match="damaged"):
        summarize_model(with_layers(model(CONV), metadata))


@pytest.mark.parametrize(
    ("node", "shape", "macs"),
    [
        (CONV, ("batch", 8, 6, 5), 6 * 8 * 9 * 4 * 3),
        (helper.make_node("MatMul", ["x", "V"], ["y"]), ("batch", 7, 3, 4), 7 * 3 * 4 * 5),
        (helper.make_node("Gemm", ["x", "G"], ["y"]), ("batch", 96), 96 * 6),
        (helper.make_node("Relu", ["x"], ["y"]), ("batch", 8), 0),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else None,
)
def test_ordinary_layers_are_counted(
    node: onnx.NodeProto, shape: tuple[int | str, ...], macs: int
) -> None:
    inventory = summarize_model(with_layers(model(node, shape=shape), json.dumps([RECORD])))
    assert inventory.dense_part.macs == macs


def test_an_open_image_size_is_refused() -> None:
    open_size = model(CONV, shape=("batch", 8, "height", 5))
    with pytest.raises(UsageError, match="head: the size of its output must be fixed"):
        summarize_model(with_layers(open_size, json.dumps([RECORD])))

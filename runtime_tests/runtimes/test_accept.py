"""Files that onnxruntime-web 1.16.3 cannot read are refused by what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from legoexport.errors import UsageError
from legoexport.runtimes.web.accept import check_model
from runtime_tests.parity.networks import converted


def tiny(opset: int = 17, ir_version: int = 8, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A model of one node; its initializer is listed among the inputs, as old files have it."""
    x, w = (helper.make_tensor_value_info(name, kind, ["N", 3, 4, 4]) for name in ("x", "w"))
    y = helper.make_tensor_value_info("y", kind, ["N", 3, 4, 4])
    weight = numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])], "g", [x, w], [y], [weight]
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("other", 99)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


@pytest.mark.parametrize(("opset", "ir_version"), [(17, 8), (19, 9), (7, 3)])
def test_what_can_be_read_is_described(opset: int, ir_version: int) -> None:
    model_bytes = tiny(opset, ir_version).SerializeToString()
    assert check_model(model_bytes, "m.onnx") == (("x", "tensor(float)", ["N", 3, 4, 4]),)


def test_our_files_can_be_read() -> None:
    ((name, _, shape),) = check_model(converted().model.SerializeToString(), "m.onnx")
    assert (name, shape[1:]) == ("input", [3, 12, 12])
    assert isinstance(shape[0], str)


@pytest.mark.parametrize(("opset", "ir_version"), [(20, 9), (19, 10), (23, 11)])
def test_newer_files_are_refused_by_version(opset: int, ir_version: int) -> None:
    with pytest.raises(UsageError, match="too new") as caught:
        check_model(tiny(opset, ir_version).SerializeToString(), "m.onnx")
    assert "m.onnx" in str(caught.value)
    assert f"opset {opset}, IR {ir_version}" in str(caught.value)


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = tiny()
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    with pytest.raises(UsageError, match="other files"):
        check_model(path.read_bytes(), "m.onnx")


def test_other_types_are_refused() -> None:
    with pytest.raises(UsageError, match="FLOAT16"):
        check_model(tiny(kind=TensorProto.FLOAT16).SerializeToString(), "m.onnx")


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(UsageError, match=r"m\.onnx is not an ONNX model"):
        check_model(b"PK\x03\x04", "m.onnx")

"""Partitions: counted as onnxruntime's checker counts, after folding, and printed as figures."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from legoexport.errors import UsageError
from legoexport.ort.partitions import Partitions, check_partitions, placements_here
from runtime_tests.layers import lowered, random_frozen

CPU = "CPUExecutionProvider"


def found(lowering: str, *, batch: int | None) -> dict[str, Partitions]:
    model = lowered(random_frozen(np.random.default_rng(0), padding=(1, 1)), 8, 8, lowering)
    if batch is not None:
        for value in (*model.graph.inputs, *model.graph.outputs):
            assert value.shape is not None
            value.shape = ir.Shape([batch, *value.shape[1:]])
    partitions = check_partitions(ir.to_proto(model).SerializeToString())
    return {one.provider: one for one in partitions}


def test_a_gather_of_maps_splits_mlprogram_and_one_of_weights_does_not() -> None:
    split = found("grouped", batch=1)["CoreML MLProgram"]
    assert (split.nodes_count, split.placed_count, split.partitions_count) == (3, 2, 2)
    assert split.unsupported_ops == ("ai.onnx:Gather",)
    assert not split.whole
    whole = found("grouped_dense_merge", batch=1)["CoreML MLProgram"]
    assert (whole.nodes_count, whole.placed_count, whole.partitions_count) == (2, 2, 1)
    assert whole.whole


def test_an_open_batch_is_said_and_counted_as_if_fixed() -> None:
    open_batch, fixed = (found("grouped_dense_merge", batch=batch) for batch in (None, 2))
    assert "once the batch is fixed" in str(open_batch["NNAPI"])
    assert str(fixed["NNAPI"]) == "NNAPI 2 of 2 nodes in 1 partition"
    assert not open_batch["NNAPI"].fixed_batch
    assert open_batch["NNAPI"].placed_count == fixed["NNAPI"].placed_count


def test_a_transpose_that_implies_its_axes_is_counted() -> None:
    shape = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 3])
    nodes = [onnx.helper.make_node("Transpose", ["x"], ["y"])]
    turned = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3, 2])
    graph = onnx.helper.make_graph(nodes, "g", [shape], [turned])
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    assert all(one.whole for one in check_partitions(model.SerializeToString()))


def test_json_holds_the_verdict() -> None:
    assert found("grouped", batch=1)["CoreML MLProgram"].to_json()["whole"] is False


def test_providers_that_are_here_are_asked() -> None:
    model = lowered(random_frozen(np.random.default_rng(0)), 8, 8, "grouped")
    content = ir.to_proto(model).SerializeToString()
    assert placements_here(content, ["NnapiExecutionProvider", CPU]) == {"cpu": 3}
    with pytest.raises(UsageError, match="does not load"):
        placements_here(b"nonsense", [CPU])

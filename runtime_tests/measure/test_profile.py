"""Which layer a node of ONNX Runtime's graph belongs to, and sums that lose nothing."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from legoexport.measure.attribution import OTHER, Attribution
from legoexport.measure.profile import take_apart
from legoexport.ort.nodes import NodeTime, place, read_nodes


def graph(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "graph", [], [])


def node(op: str, reads: str, gives: str, name: str) -> onnx.NodeProto:
    return helper.make_node(op, [reads], [gives], name=name)


WRITTEN = graph(
    node("Conv", "input", "stem", "node_stem"),
    node("Relu", "stem", "relu", "node_relu"),
    node("Conv", "relu", "a.b/transform/conv", "a.b/transform/conv"),
    node("Gather", "a.b/transform/conv", "a.b/merge/gather", "a.b/merge/gather"),
    node("Conv", "a.b/merge/gather", "a.b/output", "a.b/merge/sum"),
    node("Relu", "a.b/output", "relu_1", "node_relu_1"),
    node("MaxPool", "relu_1", "pooled", "node_pool"),
)
OPTIMIZED = graph(
    node("Conv", "input", "reorder_0", "relu_nchwc"),
    node("ReorderOutput", "reorder_0", "relu", "ReorderOutput"),
    node("ReorderInput", "relu", "reorder_1", "ReorderInput"),
    node("Conv", "reorder_1", "reorder_2", "a.b/transform/conv_nchwc"),
    node("ReorderOutput", "reorder_2", "a.b/transform/conv", "ReorderOutput_token_1"),
)


@pytest.mark.parametrize(
    ("name", "op", "expected"),
    [
        ("a.b/merge/sum", "FusedConv", ("a.b", "merge")),
        ("a.b/merge/gather", "Gather", ("a.b", "merge")),
        ("a.b/transform/conv_nchwc", "Conv", ("a.b", "transform")),
        ("a.b/output_nchwc", "Conv", ("a.b", "merge")),
        ("relu_1_nchwc", "Conv", ("a.b", "merge")),
        ("relu_nchwc", "Conv", OTHER),
        ("pooled_nchwc", "MaxPool", OTHER),
        ("node_relu_1", "Relu", OTHER),
        ("ReorderOutput", "ReorderOutput", OTHER),
        ("ReorderInput", "ReorderInput", ("a.b", "reorder")),
        ("ReorderOutput_token_1", "ReorderOutput", ("a.b", "reorder")),
        ("", "Conv", OTHER),
        ("never seen", "Conv", OTHER),
    ],
)
def test_a_node_belongs_to_the_layer_it_computes(
    name: str, op: str, expected: tuple[str, str]
) -> None:
    assert Attribution(WRITTEN, OPTIMIZED).part_of(name, op) == expected


def test_without_the_optimized_graph_layouts_belong_to_no_layer() -> None:
    attribution = Attribution(WRITTEN, None)
    assert attribution.part_of("ReorderInput", "ReorderInput") == OTHER
    assert attribution.part_of("relu_1_nchwc", "Conv") == ("a.b", "merge")


@pytest.mark.parametrize(
    ("name", "op", "expected"),
    [
        ("node_stem", "Conv", "features.0"),
        ("relu_nchwc", "Conv", "features.0"),
        ("a.b/merge/sum", "FusedConv", ""),
        ("pooled_nchwc", "MaxPool", ""),
    ],
)
def test_a_dense_node_tells_its_module_by_its_weight(name: str, op: str, expected: str) -> None:
    written = onnx.GraphProto()
    written.CopyFrom(WRITTEN)
    written.node[0].input.append("features.0.weight")
    written.node[4].input.append("a.b.weight")  # a Lego layer is none
    assert Attribution(written, OPTIMIZED).module_of(name, op) == expected


NAMES = st.sampled_from(["a.b/merge/sum", "b/transform/conv_nchwc", "relu_1_nchwc", "x", ""])
NODES = st.builds(
    NodeTime, NAMES, st.sampled_from(["Conv", "Relu"]), st.just("cpu"), st.floats(0, 1e3)
)


@given(st.lists(NODES, max_size=30))
def test_parts_sum_to_the_total(nodes: list[NodeTime]) -> None:
    found = take_apart(nodes, Attribution(WRITTEN, OPTIMIZED))
    for shares in (found.by_operator, found.by_layer):
        assert sum(share.time_ms for share in shares) == pytest.approx(found.total_ms)
    assert sum(part.nodes_count for part in place(nodes)) == len(nodes)


def event(name: str, start_us: int, duration_us: int, **args: str) -> dict[str, object]:
    category = "Node" if args else "Session"
    return {"cat": category, "name": name, "ts": start_us, "dur": duration_us, "args": args}


def test_a_profile_leaves_the_first_run_out_and_averages_the_others(tmp_path: Path) -> None:
    def kernel(start_us: int, duration_us: int, index: str) -> dict[str, object]:
        args = {"op_name": "Conv", "provider": "CPUExecutionProvider", "node_index": index}
        return event("c_kernel_time", start_us, duration_us, **args)

    events = [event("session_initialization", 0, 5)]
    for start_us, duration_us in ((10, 900), (1000, 2000), (5000, 4000)):
        events += [kernel(start_us + 1, duration_us, "0"), kernel(start_us + 2, 1000, "1")]
        events.append(event("model_run", start_us, duration_us + 10))
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(events))
    cpu = "CPUExecutionProvider"
    assert read_nodes(path) == (NodeTime("c", "Conv", cpu, 3.0), NodeTime("c", "Conv", cpu, 1.0))

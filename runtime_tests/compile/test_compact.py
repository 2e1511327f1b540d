"""Compact: what a tool has folded comes back to the bit, or is refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxsim
import pytest
from onnx import numpy_helper

from legoexport.ort.constant_values import constant_values
from legoexport.parity.compare_models import compare_models
from runtime_tests.compile.folded_files import compacted, converted_layer
from runtime_tests.folding import fold, merged, renamed
from runtime_tests.runtimes.int8_files import converted

X = np.random.default_rng(0).standard_normal((2, 16, 6, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return converted_layer()


@pytest.fixture(scope="module")
def int8() -> onnx.ModelProto:
    return onnx.load_from_string(converted("cpu").model_bytes)


def scores(model: onnx.ModelProto, x: np.ndarray = X) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def first_weight(model: onnx.ModelProto) -> str:
    """The largest initializer, which a lowering made of the bank."""
    return max(model.graph.initializer, key=lambda one: len(one.raw_data)).name


def test_the_file_comes_back_to_the_bit(model: onnx.ModelProto, tmp_path: Path) -> None:
    folded = fold(model)
    done = compacted(tmp_path, folded, model, "--json")
    told, small = json.loads(done.stdout), onnx.load(tmp_path / "small.onnx")
    assert compare_models(model, small) == ()
    stored = {one.name for one in folded.graph.initializer}
    assert set(told["rebuilt"]) == stored & constant_values(model).keys()
    assert (told["left"], told["metadata_restored"]) == ({}, [])
    assert told["size_bytes"] == (tmp_path / "small.onnx").stat().st_size
    assert told["size_bytes"] < 0.7 * told["folded_size_bytes"]
    assert told["folded_size_bytes"] == (tmp_path / "folded.onnx").stat().st_size
    np.testing.assert_array_equal(scores(small), scores(folded))


def test_so_does_one_in_int8_though_a_tool_has_merged_its_scales(
    int8: onnx.ModelProto, tmp_path: Path
) -> None:
    folded = merged(fold(int8))
    done = compacted(tmp_path, folded, int8)
    small = onnx.load(tmp_path / "small.onnx")
    assert compare_models(int8, small) == ()
    assert len(folded.graph.initializer) < len(int8.graph.initializer)
    assert "outputs equal to the bit on " in done.stdout
    assert "wrote    small.onnx: " in done.stdout


def test_what_the_tool_changed_stays(model: onnx.ModelProto, tmp_path: Path) -> None:
    folded = fold(model, drop_metadata=True)
    weight = first_weight(folded)
    folded = renamed(folded, weight, "onnx::Conv_17")
    for value in (*folded.graph.input, *folded.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 2
    done = compacted(tmp_path, folded, model, "--json")
    told, small = json.loads(done.stdout), onnx.load(tmp_path / "small.onnx")
    assert "onnx::Conv_17" in told["rebuilt"]
    assert weight in {name for node in small.graph.node for name in node.output}
    assert small.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 2
    assert sorted(told["metadata_restored"]) == [one.key for one in model.metadata_props]
    assert {one.key: one.value for one in small.metadata_props} == {
        one.key: one.value for one in model.metadata_props
    }
    np.testing.assert_array_equal(scores(small), scores(folded))


def test_a_weight_that_is_stored_twice_comes_back_once(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    folded = fold(model)
    weight = first_weight(folded)
    twin = next(one for one in folded.graph.initializer if one.name == weight)
    folded.graph.initializer.append(twin)
    folded.graph.initializer[-1].name = "twin"
    told = json.loads(compacted(tmp_path, folded, model, "--json").stdout)
    assert {weight, "twin"} <= set(told["rebuilt"])
    assert compare_models(model, onnx.load(tmp_path / "small.onnx")) == ()


def test_a_weight_of_other_numbers_stays_folded(model: onnx.ModelProto, tmp_path: Path) -> None:
    folded, names = fold(model), constant_values(model).keys()
    least = min(
        (one for one in folded.graph.initializer if one.name in names),
        key=lambda one: len(one.raw_data),
    )
    array = numpy_helper.to_array(least)
    least.CopyFrom(numpy_helper.from_array(np.nextafter(array, array + 1), least.name))
    done = compacted(tmp_path, folded, model)
    assert f"left     {least.name}, folded as it is: other numbers" in done.stdout
    np.testing.assert_array_equal(scores(onnx.load(tmp_path / "small.onnx")), scores(folded))


@pytest.mark.heavy
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_simplifiers_of_the_field_make(
    model: onnx.ModelProto, int8: onnx.ModelProto, tmp_path: Path, precision: str
) -> None:
    like = model if precision == "fp32" else int8
    simplified, is_right = onnxsim.simplify(like)
    assert is_right
    assert compacted(tmp_path, simplified, like).returncode == 0
    assert compare_models(like, onnx.load(tmp_path / "small.onnx")) == ()
    for level in ("BASIC", "EXTENDED"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(
            onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}"
        )
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        onnxruntime.InferenceSession(
            like.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        done = compacted(tmp_path, onnx.load(tmp_path / "optimized.onnx"), like, "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["size_bytes"] < told["folded_size_bytes"]
        assert told["left"] == {}

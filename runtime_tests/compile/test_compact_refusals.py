"""Compact refuses what it cannot bring back or prove, and says why; nothing is written then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from legoexport.deliver import compact
from legoexport.deliver.folded_weights import FoldedWeights, find_folded
from legoexport.ort.constant_values import constant_values
from runtime_tests.command_line import legoexport_in
from runtime_tests.compile.folded_files import converted_layer, refused
from runtime_tests.folding import fold


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return converted_layer()


def test_a_second_time_nothing_is_folded(model: onnx.ModelProto, tmp_path: Path) -> None:
    told = refused(tmp_path, model, model, 2)
    assert "nothing in folded.onnx is folded from model.onnx" in told


def test_other_weights_are_no_version_of_the_model(model: onnx.ModelProto, tmp_path: Path) -> None:
    folded, names = fold(model), constant_values(model).keys()
    for tensor in folded.graph.initializer:
        if tensor.name in names:
            array = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(array + 1, tensor.name))
    assert "holds other weights than model.onnx computes" in refused(tmp_path, folded, model, 1)


def without_stamp(one: onnx.ModelProto) -> None:
    del one.metadata_props[:]


def of_other_masks(one: onnx.ModelProto) -> None:
    entry = next(entry for entry in one.metadata_props if entry.key == "legoexport.mask_sha256")
    entry.value = "0" * 64


def of_another_opset(one: onnx.ModelProto) -> None:
    one.opset_import[0].version += 1


def of_another_output(one: onnx.ModelProto) -> None:
    old, one.graph.output[0].name = one.graph.output[0].name, "scores"
    for node in one.graph.node:
        node.output[:] = ["scores" if name == old else name for name in node.output]


def outside(one: onnx.ModelProto) -> None:
    tensor = one.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.data")
    tensor.ClearField("raw_data")


@pytest.mark.parametrize(
    ("change", "which", "told"),
    [
        (without_stamp, "like", "model.onnx is not a file that legoexport wrote"),
        (of_other_masks, "folded", "they differ in legoexport.mask_sha256"),
        (of_another_opset, "folded", "they differ in their opset"),
        (of_another_output, "folded", "they differ in what they take and give"),
        (outside, "folded", "folded.onnx keeps tensors in another file"),
    ],
)
def test_two_files_that_do_not_belong_together(
    model: onnx.ModelProto,
    tmp_path: Path,
    change: Callable[[onnx.ModelProto], None],
    which: str,
    told: str,
) -> None:
    files = {"folded": fold(model), "like": onnx.ModelProto()}
    files["like"].CopyFrom(model)
    change(files[which])
    assert told in refused(tmp_path, files["folded"], files["like"], 2)


def test_a_file_that_would_not_be_smaller(model: onnx.ModelProto, tmp_path: Path) -> None:
    """Its only folded value is one number, shorter than the node that computes it."""
    like, zero = onnx.ModelProto(), np.zeros(1, np.float32)
    like.CopyFrom(model)
    last = like.graph.node[-1].output[0]
    like.graph.node[-1].output[0] = "before"
    like.graph.node.append(onnx.helper.make_node("Add", ["before", "none"], [last], "last"))
    folded = onnx.ModelProto()
    folded.CopyFrom(like)
    folded.graph.initializer.append(numpy_helper.from_array(zero, "none"))
    like.graph.initializer.append(numpy_helper.from_array(zero, "zero"))
    like.graph.node.insert(0, onnx.helper.make_node("Add", ["zero", "zero"], ["none"], "none"))
    assert "would not become smaller" in refused(tmp_path, folded, like, 1)


def test_what_computes_other_weights_is_never_written(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(folded: onnx.ModelProto, like: onnx.ModelProto) -> FoldedWeights:
        """Change the bank once the weights have been found."""
        found = find_folded(folded, like)
        bank = next(one for one in like.graph.initializer if "lego" in one.name)
        bank.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bank) + 1, bank.name))
        return found

    monkeypatch.setattr(compact, "find_folded", planted)
    told = refused(tmp_path, fold(model), model, 1)
    assert "computes other weights than the folded one holds" in told


def test_an_input_is_never_replaced(model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(model, tmp_path / "model.onnx")
    for argument in ("--like", "FOLDED"):
        own = "model.onnx" if argument == "--like" else "folded.onnx"
        onnx.save(fold(model), tmp_path / "folded.onnx")
        done = legoexport_in(
            tmp_path, "compact", "folded.onnx", "--like", "model.onnx", "--out", f"./{own}"
        )
        assert done.returncode == 2
        assert f"would overwrite {argument} {own}" in done.stderr

"""A file is held to the bit to what its checkpoint gives, and what differs is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from legoexport.cli import main
from legoexport.compile.stages import CompileOptions
from legoexport.compile.stamp import FROM_MODULE
from legoexport.deliver.convert import convert_module
from legoexport.errors import LegoExportError
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from legoexport.parity.difference import Difference
from legoexport.parity.exact import NOT_OURS, OTHER_SOURCE, ExactCheck, check_exactly
from legoexport.parity.opened import open_model
from legoexport.parity.verify import verify
from legoexport.passes.plan import Plan
from runtime_tests.parity.networks import INPUT_SHAPE, LAYER_NAMES, converted, small_net
from runtime_tests.planted import SHA256, campaign, in_int8
from runtime_tests.planted_changes import INT8_KINDS, KINDS


def test_many_differences_stay_short() -> None:
    one = Difference("tensor", "x", None, "1", "2")
    check = ExactCheck(1, 1, (one,) * 30)
    assert len(check.lines) == 11
    assert check.lines[-1] == "and 20 more differences"


def exact(model: onnx.ModelProto, sha256: str | None = SHA256) -> ExactCheck:
    opened = open_model(model.SerializeToString())
    network = converted("grouped").network
    return check_exactly(opened, network, checkpoint_sha256=sha256, normalization=None)


def with_metadata(key: str, value: str) -> onnx.ModelProto:
    model = converted("grouped").copy()
    entry = next(one for one in model.metadata_props if one.key == f"legoexport.{key}")
    entry.value = value
    return model


def versions(**others: str) -> str:
    model = converted("grouped").model
    text = next(one for one in model.metadata_props if one.key == "legoexport.versions").value
    return json.dumps(json.loads(text) | others)


def test_other_versions_are_said_and_not_held_against_the_file() -> None:
    found = exact(with_metadata("versions", versions(torch="1.0", onnxsim="0.1")))
    assert found.passed
    assert "torch 1.0 (here " in str(found)
    assert "onnxsim 0.1 (here " in str(found)
    assert found.to_json()["equal"] is False


def test_versions_that_have_no_say_in_the_bytes_do_not_matter() -> None:
    here = torch.__version__.partition("+")[0]
    other = versions(onnxruntime="1.0", numpy="1.0", torch=f"{here}+cu999")
    assert exact(with_metadata("versions", other)) == exact(converted("grouped").model)
    assert exact(with_metadata("measured_relative_error", "3.1e-07")).reason is None


def test_a_file_of_another_network_is_left_to_the_numbers() -> None:
    changed = converted("grouped").copy()
    changed.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), "features.0.weight")
    )
    for sha256 in ("1" * 64, None):
        found = exact(changed, sha256)
        assert found.passed
        assert OTHER_SOURCE in str(found)
        assert "tensor features.0.weight [0, 0, 0, 0]" in str(found)
    assert str(exact(converted("grouped").model, None)).startswith("rebuilt: equal to the bit")


def test_a_file_of_others_is_not_rebuilt() -> None:
    model = converted("grouped").copy()
    del model.metadata_props[:]
    assert exact(model).reason == NOT_OURS


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("checkpoint_sha256", "0" * 63),
        ("measured_relative_error", "nan"),
        ("target", "abacus"),
        ("versions", "[]"),
        ("plan", '{"version": 1, "lowerings": {}}'),
    ],
)
def test_damaged_metadata_is_named(key: str, value: str) -> None:
    (found,) = exact(with_metadata(key, value)).differences
    assert (found.kind, found.where) == ("metadata", f"legoexport.{key}")


@pytest.mark.parametrize(
    ("options", "batch"),
    [
        (CompileOptions(opset=19), 1),
        (CompileOptions(dynamic_batch=False), 3),
        (CompileOptions(plan=Plan(dict.fromkeys(LAYER_NAMES, "dense"))), 1),
        (CompileOptions(plan=Plan(dict.fromkeys(LAYER_NAMES, "grouped"), "by output")), 1),
    ],
)
def test_files_of_every_make_are_rebuilt_to_the_bit(options: CompileOptions, batch: int) -> None:
    conversion = convert_module(small_net(), torch.zeros(batch, *INPUT_SHAPE), options)
    found = check_exactly(
        open_model(conversion.model_bytes),
        conversion.network,
        checkpoint_sha256=None,
        normalization=None,
    )
    assert found.to_json()["equal"] is True, found.lines


def test_planted_changes_are_caught_and_named() -> None:
    tally = campaign(converted("grouped"), KINDS, count=16, seed=1)
    assert tally.planted.total() == 16
    assert tally.all_named, tally


@pytest.mark.heavy
def test_planted_changes_of_a_file_in_int8_are_caught_and_named() -> None:
    tally = campaign(in_int8(), INT8_KINDS, count=18, seed=1)
    assert tally.planted.total() == 18
    assert tally.all_named, tally


def test_one_bit_fails_the_check_though_all_numbers_are_within_their_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hyperparameters = {"o": 4, "m_ratio": 0.25}
    checkpoint, path = tmp_path / "c.pt", tmp_path / "m.onnx"
    net = build("lego_digits", **hyperparameters)
    write_checkpoint(checkpoint, net, arch="lego_digits", hyperparameters=hyperparameters)
    sha256 = read_checkpoint(checkpoint).sha256
    conversion = convert_module(net, torch.zeros(1, 1, 8, 8), checkpoint_sha256=sha256)
    model = onnx.load_from_string(conversion.model_bytes)
    weight = next(one for one in model.graph.initializer if one.name == "features.6.tables.lego")
    data = bytearray(weight.raw_data)
    data[4 * 70] ^= 1
    weight.raw_data = bytes(data)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(checkpoint), str(path)])
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert "parity reached" in printed.out
    assert "rebuilt: 1 difference from" in printed.out
    assert "tensor features.6.tables.lego [0, 7, 2, 1] of layer features.6: " in printed.err
    assert "the file was changed after conversion" in printed.err


def test_a_file_that_stops_is_named_by_what_was_changed() -> None:
    file = converted("grouped")
    model = with_metadata("checkpoint_sha256", FROM_MODULE)
    shape = next(t for t in model.graph.initializer if t.name == "features.6/weights/sum_shape")
    numbers = numpy_helper.to_array(shape).copy()
    numbers[0] += 1
    shape.CopyFrom(numpy_helper.from_array(numbers, shape.name))
    with pytest.raises(LegoExportError, match=r"features\.6/weights/sum_shape \[0\] of layer"):
        verify(file.net, model.SerializeToString())

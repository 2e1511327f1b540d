"""``legoexport doctor`` from end to end: what it says, and with which code it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from click.testing import CliRunner, Result

from legoexport.commands.doctor import command
from legoexport.errors import UsageError
from runtime_tests.doctor.graphs import Conv, chain, weight
from runtime_tests.doctor.test_triggers import (
    fragments_that_begin_with_one_filter,
    in_integers,
)
from runtime_tests.layers import lowered, random_frozen


def doctor(path: Path, *arguments: str) -> Result:
    done = CliRunner().invoke(command, [str(path), *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def findings(path: Path, *arguments: str) -> dict[str, str]:
    told = json.loads(doctor(path, *arguments, "--json").output)
    return {one["id"]: one["severity"] for one in told["findings"]}


@pytest.fixture
def per_fragment(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    model = ir.to_proto(lowered(fragments_that_begin_with_one_filter(), 8, 8, "per_fragment"))
    onnx.save(model, path)
    return path


def test_wrong_numbers_end_with_one(per_fragment: Path) -> None:
    bad = doctor(per_fragment, "--target", "arm64", "--runtime-version", "1.24.1")
    assert bad.exit_code == 1
    assert "WRONG NUMBERS" in bad.output
    assert "layer/transform/conv_0, layer/transform/conv_1" in bad.output
    assert "--prefer fragment_batch" in bad.output
    assert "https://github.com/microsoft/onnxruntime/pull/26834" in bad.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--target", "arm64", "--runtime-version", "1.32.0"],
        ["--target", "arm64", "--runtime-version", "1.24.1", "--no-sme"],
        ["--target", "web", "--runtime-version", "1.24.1"],
    ],
    ids=["version", "cpu", "target"],
)
def test_another_version_cpu_or_target_is_fine(per_fragment: Path, arguments: list[str]) -> None:
    good = doctor(per_fragment, *arguments)
    assert good.exit_code == 0
    assert "nothing known against it" in good.output


def test_trouble_that_leaves_numbers_right_ends_with_zero(per_fragment: Path) -> None:
    arguments = ["--target", "nnapi", "--runtime-version", "1.32.0"]
    assert doctor(per_fragment, *arguments).exit_code == 0
    found = findings(per_fragment, *arguments)
    assert found["open-batch"] == "slow"
    assert found["nnapi-deprecated"] == "note"
    assert "split" not in found, "with a fixed batch NNAPI takes it whole"
    assert findings(per_fragment, "--target", "coreml", "--runtime-version", "1.32.0")["split"]


def test_an_open_batch_is_worse_on_xnnpack_than_on_nnapi(per_fragment: Path) -> None:
    assert doctor(per_fragment, "--target", "xnnpack", "--runtime-version", "1.32").exit_code == 1
    found = findings(per_fragment, "--target", "xnnpack", "--runtime-version", "1.32")
    assert found["xnnpack-open-batch"] == "wrong numbers"


def test_a_file_that_is_too_new_for_the_runtime(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(chain([Conv(weight(4, 3, 3, 3))], opset=20, ir_version=10), path)
    assert findings(path, "--runtime-version", "1.18.0") == {}
    assert findings(path, "--runtime-version", "1.17.3") == {"ir-too-new": "fails"}
    both = findings(path, "--runtime-version", "1.16.3")
    assert both == {"ir-too-new": "fails", "opset-too-new": "fails"}
    assert findings(path, "--runtime-version", "1.2") == {"runtime-unknown": "note"}


def test_the_target_is_that_of_the_file_unless_given(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = chain([Conv(weight(4, 3, 3, 3))])
    model.metadata_props.add(key="legoexport.target", value="nnapi")
    onnx.save(model, path)
    assert "on target nnapi" in doctor(path).output
    assert "on target arm64" in doctor(path, "--target", "arm64").output


def test_another_engine_has_its_own_cases(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(ir.to_proto(lowered(random_frozen(np.random.default_rng(0)), 8, 8, "grouped")), path)
    assert findings(path, "--engine", "ncnn") == {"ncnn-gather": "fails"}
    told = doctor(path, "--engine", "onnx2torch").output
    assert "on target cpu with onnx2torch newest: 1 known problem" in told
    assert "run onnxsim on the file first" in told
    assert findings(path, "--engine", "onnxruntime") == {}


@pytest.mark.parametrize(
    ("name", "arguments", "named"),
    [
        ("missing.onnx", [], "missing.onnx"),
        ("model.ort", [], "ORT format"),
        ("model.onnx", ["--target", "toaster"], "toaster"),
        ("model.onnx", ["--runtime-version", "new"], "new"),
        ("model.onnx", ["--engine", "steam"], "steam"),
        ("noise.onnx", [], "not an ONNX model"),
    ],
)
def test_bad_usage_is_explained(
    per_fragment: Path, name: str, arguments: list[str], named: str
) -> None:
    for other in ("model.ort", "noise.onnx"):
        (per_fragment.parent / other).write_bytes(b"noise")
    with pytest.raises(UsageError, match=named):
        doctor(per_fragment.parent / name, *arguments)


def test_nnapi_names_the_dilated_group(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    grouped = Conv(weight(4, 3, 3, 3), {"group": 2, "dilations": [2, 2]})
    onnx.save(chain([grouped]), path)
    assert findings(path, "--target", "nnapi")["nnapi-dilated-groups"] == "slow"
    onnx.save(chain([replace(grouped, attributes={"group": 2})]), path)
    assert "nnapi-dilated-groups" not in findings(path, "--target", "nnapi")


def test_codes_of_eight_bits_are_wrong_without_vnni(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(in_integers(largest=127, zero_point=True, reshape=False), path)
    bad = doctor(path, "--target", "cpu-vnni")
    assert bad.exit_code == 1
    assert "[x86-without-vnni]" in bad.output
    assert "session.x64quantprecision" in bad.output
    assert doctor(path, "--target", "cpu-vnni", "--vnni").exit_code == 0
    assert doctor(path, "--target", "arm64").exit_code == 0

"""ORT format: proved as it is loaded, with its operators, and its size told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from onnx import shape_inference

from legoexport.commands.convert import command
from legoexport.compile.stages import CompileOptions
from legoexport.deliver import packaging
from legoexport.deliver.convert import Conversion, convert_module
from legoexport.deliver.ort_format import OrtFormat, to_ort_format
from legoexport.errors import CheckFailed, InvariantBroken, ParityFailed, UsageError
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from legoexport.target import ARM64, COREML
from runtime_tests.networks import randomize, small_net

SHAPE = (3, 12, 10)
EXAMPLE = torch.zeros(1, *SHAPE)


@pytest.fixture(scope="module")
def conversion() -> Conversion:
    return convert_module(small_net(), EXAMPLE, CompileOptions(ARM64))


def run(model_bytes: bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model_bytes, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {"input": x})[0]
    return result


def test_it_loads_and_computes_the_same_at_any_batch(conversion: Conversion) -> None:
    ort = to_ort_format(conversion.model_bytes, fuse=True)
    assert ort.model_bytes[4:8] == b"ORTM", "flatbuffers put the identifier there"
    for batch in (1, 3):
        x = np.random.default_rng(batch).standard_normal((batch, *SHAPE)).astype(np.float32)
        expected = run(conversion.model_bytes, x)
        # Another order of sums in a few layers.
        assert np.abs(run(ort.model_bytes, x) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_converter_keeps_quiet(
    conversion: Conversion, capsys: pytest.CaptureFixture[str]
) -> None:
    to_ort_format(conversion.model_bytes, fuse=True)
    assert capsys.readouterr() == ("", "")


def test_fused_operators_are_for_providers_that_know_them(conversion: Conversion) -> None:
    fused, plain = (to_ort_format(conversion.model_bytes, fuse=fuse) for fuse in (True, False))
    assert "com.microsoft;1;FusedConv" in fused.operators
    assert "Relu" not in fused.operators
    # The fused ones are kept beside the standard ones, and a session has to ask for them.
    assert "Relu" in plain.operators
    assert not any(target.fuses_offline for target in (COREML,))


def test_the_configuration_names_operators_and_no_path(conversion: Conversion) -> None:
    config = to_ort_format(conversion.model_bytes, fuse=True).config("net.ort").decode()
    comment, *lines = config.splitlines()
    assert comment == "# Operators that net.ort needs"
    assert any(line.startswith("ai.onnx;11;Conv") for line in lines)
    assert "/tmp" not in config  # noqa: S108 - no temporary folder may show


def test_the_configuration_takes_a_name_that_is_no_text() -> None:
    packed = OrtFormat(b"", "ai.onnx;17;Conv\n")
    expected = b"# Operators that \xc3\xb6\xff.ort needs\nai.onnx;17;Conv\n"
    assert packed.config("\udcc3\udcb6\udcff.ort") == expected


def test_a_package_is_proved_as_it_is_loaded(
    conversion: Conversion, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = packaging.package(small_net(), conversion, SHAPE, ARM64)
    assert packed.agreement.passed
    other = to_ort_format(
        convert_module(small_net(seed=1), EXAMPLE, CompileOptions(ARM64)).model_bytes, fuse=True
    )
    monkeypatch.setattr(packaging, "to_ort_format", lambda *_, **__: other)
    with pytest.raises(ParityFailed, match="ORT format"):
        packaging.package(small_net(), conversion, SHAPE, ARM64)


def test_size_before_and_after_and_what_would_keep_it_small(conversion: Conversion) -> None:
    packed = packaging.package(small_net(), conversion, SHAPE, ARM64)
    assert packed.onnx_size_bytes == len(conversion.model_bytes)
    assert packed.growth_ratio == packed.size_bytes / packed.onnx_size_bytes
    assert packed.smallest_lowering == "fragment_stack"
    with pytest.raises(InvariantBroken, match=r"--max-size(.|\n)*--prefer fragment_stack"):
        packaging.package(small_net(), conversion, SHAPE, ARM64, packed.size_bytes - 1)
    packaging.package(small_net(), conversion, SHAPE, ARM64, packed.size_bytes)


def test_a_model_that_does_not_convert_is_explained() -> None:
    with pytest.raises(CheckFailed, match="converter"):
        to_ort_format(b"nonsense", fuse=True)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ort") / "digits.pt"
    torch.manual_seed(0)
    write_checkpoint(path, randomize(build("lego_digits")), arch="lego_digits", hyperparameters={})
    return path


def convert(checkpoint: Path, *arguments: str) -> str:
    runner = CliRunner()
    done = runner.invoke(command, [str(checkpoint), *arguments], catch_exceptions=True)
    if done.exception:
        raise done.exception
    return done.output


def test_the_command_writes_both_files_and_says_what_folding_did(checkpoint: Path) -> None:
    out = checkpoint.with_name("digits.ort")
    text = convert(checkpoint, "--out", str(out), "--target", "arm64", "--prefer", "grouped")
    assert "in ORT format: parity reached" in text
    assert "fragment_stack grows least here (--prefer fragment_stack)" in text
    assert "CoreML MLProgram 18 of 22 nodes in 5 partitions, without ai.onnx:Gather" in text
    config = checkpoint.with_name("digits.required_operators_and_types.config").read_text()
    assert config.startswith("# Operators that digits.ort needs\n")
    small = checkpoint.with_name("small.ort")
    told = convert(checkpoint, "--out", str(small), "--prefer", "fragment_batch", "--json")
    summary = json.loads(told)
    assert set(summary["plan"].values()) == {"fragment_batch"}
    assert summary["size_bytes"] == small.stat().st_size == summary["ort"]["size_bytes"]
    assert small.stat().st_size < out.stat().st_size
    assert summary["ort"]["growth_ratio"] < 1.1, "the convolutions take the banks themselves"
    assert {one["provider"] for one in summary["partitions"]} >= {"NNAPI", "CoreML MLProgram"}
    assert summary["placed_here"] == {"cpu": 30}


def coefficients_per_output(path: Path) -> list[int]:
    """Columns of the weight of each merge's sum, once folded."""
    model = ir.from_proto(shape_inference.infer_shapes(onnx.load(path), data_prop=True))
    sums = [node for node in model.graph if str(node.name).endswith("/merge/sum")]
    return [node.inputs[1].shape[1] for node in sums]  # type: ignore[index, misc]


@pytest.mark.parametrize("asked", [["--out", "a.ort"], ["--out", "a.onnx", "--objective", "size"]])
def test_a_small_file_sums_output_by_output_and_so_does_its_plan(
    checkpoint: Path, tmp_path: Path, asked: list[str]
) -> None:
    plan, usual, again = (tmp_path / name for name in ("plan.json", "usual.onnx", "again.onnx"))
    asked = [str(tmp_path / one) if one.startswith("a.") else one for one in asked]
    convert(checkpoint, *asked, "--prefer", "fragment_batch", "--save-plan", str(plan))
    assert json.loads(plan.read_text())["sums"] == "by output"
    convert(checkpoint, "--out", str(again), "--plan", str(plan))
    convert(checkpoint, "--out", str(usual), "--prefer", "fragment_batch")
    assert set(coefficients_per_output(again)) == {2}, "o, with nothing beside"
    assert max(coefficients_per_output(usual)) == 16 * 2, "the network has maps for blocks"


def test_the_targets_batch_is_taken_and_said(checkpoint: Path) -> None:
    out = str(checkpoint.with_name("one.onnx"))
    told = convert(checkpoint, "--out", out, "--target", "coreml")
    assert "coreml: opset 17, IR 8, batch 1, the target's choice (--batch N for another)" in told
    told = convert(checkpoint, "--out", out, "--target", "coreml", "--batch", "2")
    assert "coreml: opset 17, IR 8, batch 2\n" in told


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--out", "x.onnx", "--format", "ort"], "by the name"),
        (["--out", "x.ort", "--format", "onnx"], "by the name"),
        (["--out", "x.onnx", "--target", "nnapi", "--batch", "dynamic"], "open batch"),
        (["--out", "x.onnx", "--target", "nnapi", "--prefer", "grouped"], "grouped_dense_merge"),
        (["--out", "x.onnx", "--prefer", "dense", "--plan", "p.json"], "--prefer"),
        (["--out", "x.onnx", "--prefer", "dense", "--tune"], "--prefer"),
    ],
)
def test_contradictions_are_explained(checkpoint: Path, arguments: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        convert(checkpoint, *arguments)


def test_int8_gives_the_outputs_of_the_onnx_file_to_the_bit() -> None:
    images = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype(np.float32)
    calibrate = CalibrationOptions(CalibrationImages.of(images))
    options = CompileOptions(ARM64, precision="int8")
    found = convert_module(small_net(), EXAMPLE, options, calibrate=calibrate)
    packed = packaging.package(small_net(), found, SHAPE, ARM64)
    assert "QLinearConv" in packed.ort.operators
    assert np.array_equal(run(packed.ort.model_bytes, images), run(found.model_bytes, images))
    assert packed.smallest_lowering in ARM64.int8_lowerings
    other = replace(found, model_bytes=changed_code(found.model_bytes))
    with pytest.raises(ParityFailed, match="does not give the outputs of the ONNX file"):
        packaging._equal_to_onnx(other, packed.ort)


def changed_code(model_bytes: bytes) -> bytes:
    model = onnx.load_from_string(model_bytes)
    codes = next(one for one in model.graph.initializer if one.name.endswith("lego_codes"))
    array = onnx.numpy_helper.to_array(codes).copy()
    array[0] = -array[0]
    codes.CopyFrom(onnx.numpy_helper.from_array(array, codes.name))
    return model.SerializeToString()


def test_int8_is_refused_where_a_provider_fuses(tmp_path: Path) -> None:
    arguments = [str(tmp_path / "c.pt"), "--precision", "int8", "--data", "digits"]
    arguments += ["--target", "xnnpack", "--out", str(tmp_path / "m.ort")]
    (tmp_path / "c.pt").touch()
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, UsageError)
    assert "its integers cannot be proved" in str(result.exception)

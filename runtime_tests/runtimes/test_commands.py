"""``verify --runtime`` and ``bench --runtime`` from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from legoexport.cli import main
from legoexport.commands import verify
from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.deliver.dense_twin import convert_dense_twin
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.runtimes import MODULES, Feed, Replay
from legoexport.runtimes.cpu import CpuRuntime

ARCH = "lego_digits"
RECIPE = {"o": 4, "m_ratio": 0.25}


@dataclass(frozen=True)
class Files:
    """A checkpoint, what it converts to with a batch of one and with an open one, and its twin."""

    checkpoint: Path
    model: Path
    open_batch: Path
    twin: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("runtimes")
    names = ("c.pt", "m.onnx", "open.onnx", "twin.onnx")
    found = Files(*(folder / name for name in names))
    torch.manual_seed(0)
    net = build(ARCH, **RECIPE).eval()
    write_checkpoint(found.checkpoint, net, arch=ARCH, hyperparameters=RECIPE)
    example, fixed = torch.zeros(1, 1, 8, 8), CompileOptions(dynamic_batch=False)
    found.model.write_bytes(convert_module(net, example, fixed).model_bytes)
    found.open_batch.write_bytes(convert_module(net, example).model_bytes)
    found.twin.write_bytes(convert_dense_twin(net, example, fixed))
    return found


def exit_code(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([*map(str, arguments)])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@dataclass(frozen=True)
class ErringRuntime:
    """This process, but every output is off."""

    name: str = "erring"
    error: float = 1.0
    rounding_growth: float = 1.0

    def run(self, model_bytes: bytes, feeds: Sequence[Feed]) -> Replay:
        here = CpuRuntime(1).run(model_bytes, feeds)
        outputs = tuple(one + np.float32(self.error) for one in here.outputs)
        return Replay(outputs, (), "erring 1.0", self.rounding_growth)


@pytest.mark.usefixtures("needs_node")
def test_a_checkpoint_against_xnnpack(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("verify", files.checkpoint, files.model, "--runtime", "xnnpack")
    assert exit_code(*names) == 0
    text = capsys.readouterr().out
    assert "convolutions ran on xnnpack" in text
    assert "outputs of xnnpack of onnxruntime-web 1.16.3 in Node" in text
    assert "Lego layers within tolerance" in text
    assert exit_code(*names, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    assert found["runtime"].startswith("xnnpack of onnxruntime-web 1.16.3")
    assert {"name", "op", "provider"} == set(found["placement"][0])
    assert "XnnpackExecutionProvider" in {node["provider"] for node in found["placement"]}
    assert found["layers"]


@pytest.mark.usefixtures("needs_node")
def test_a_bundle_against_another_runtime(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    assert exit_code("verify", files.checkpoint, files.model, "--save-bundle", bundle) == 0
    capsys.readouterr()
    assert exit_code("verify", "--bundle", bundle, files.model, "--runtime", "wasm") == 0
    text = capsys.readouterr().out
    assert "parity reached" in text
    assert "convolutions ran on cpu" in text
    assert "outputs of wasm" in text


@pytest.mark.usefixtures("needs_node")
def test_a_wrong_file_fails_elsewhere_too(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(files.model)
    bias = next(t for t in model.graph.initializer if t.name.startswith("classifier.bias"))
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 1, bias.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    command = ("verify", files.checkpoint, tmp_path / "wrong.onnx", "--runtime", "xnnpack")
    assert exit_code(*command) == 1
    printed = capsys.readouterr()
    assert "PARITY NOT REACHED" in printed.out
    assert "errs" not in printed.err, "the file is wrong, not the runtime"


@pytest.mark.usefixtures("needs_node")
def test_an_open_batch_does_not_pass_on_xnnpack(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("verify", files.checkpoint, files.open_batch, "--runtime", "xnnpack")
    assert exit_code(*command) == 1
    assert "takes the open batch for 1" in capsys.readouterr().err


def test_a_runtime_that_errs_is_named(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "find_runtimes", lambda *_: (ErringRuntime(),))
    assert exit_code("verify", files.checkpoint, files.model, "--runtime", "erring") == 1
    said = capsys.readouterr().err
    assert "the file is right on onnxruntime" in said
    assert "erring 1.0 errs" in said


def test_a_bundle_shows_a_runtime_that_errs(
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = tmp_path / "bundle"
    assert exit_code("verify", files.checkpoint, files.model, "--save-bundle", bundle) == 0
    monkeypatch.setattr(verify, "find_runtimes", lambda *_: (ErringRuntime(),))
    assert exit_code("verify", "--bundle", bundle, files.model, "--runtime", "erring") == 1
    assert "outputs of erring 1.0" in capsys.readouterr().out


def test_a_runtime_that_adds_in_its_own_order_gets_its_limit_and_no_more(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {}
    for growth in (1.0, 4.0):
        runtimes = (ErringRuntime(error=0.0, rounding_growth=growth),)
        monkeypatch.setattr(verify, "find_runtimes", lambda *_, found=runtimes: found)
        bundle = tmp_path / f"bundle {growth}"
        options = ("--runtime", "erring", "--save-bundle", bundle)
        assert exit_code("verify", files.checkpoint, files.model, *options) == 0
        sets[growth] = json.loads((bundle / "bundle.json").read_text())["sets"]
    assert sets[1.0] == sets[4.0], "the limits of a bundle are for any runtime"
    limit = min(output["limit"] for one in sets[1.0] for output in one["outputs"])
    for growth, error, code in ((4.0, 2.5, 0), (1.0, 2.5, 1), (4.0, 20.0, 1)):
        runtimes = (ErringRuntime(error=error * limit, rounding_growth=growth),)
        monkeypatch.setattr(verify, "find_runtimes", lambda *_, found=runtimes: found)
        erring = ("--runtime", "erring")
        assert exit_code("verify", "--bundle", bundle, files.model, *erring) == code
        assert exit_code("verify", files.checkpoint, files.model, *erring) == code


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_node")
def test_two_models_in_turns_on_xnnpack(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("bench", files.model, "--vs", files.twin, "--runtime", "xnnpack")
    assert exit_code(*command, "--duration", 0.2, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    for one, path in (("model", files.model), ("other", files.twin)):
        assert found[one]["model"] == str(path)
        assert found[one]["threads"] == 1
        assert found[one]["provider"] == "XnnpackExecutionProvider"
        assert found[one]["runtime"].startswith("onnxruntime-web 1.16.3 in Node ")
        assert found[one]["session_creation_ms"] > 0
        convolutions = [part for part in found[one]["placement"] if "Conv" in part["op"]]
        assert {part["provider"] for part in convolutions} == {"XnnpackExecutionProvider"}
    speedup = found["speedup"]
    assert 0 < speedup["low_ratio"] <= speedup["estimate_ratio"] <= speedup["high_ratio"]


@pytest.mark.usefixtures("needs_node")
def test_a_batch_that_xnnpack_would_drop_is_not_measured(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("bench", files.open_batch, "--duration", 0.1, "--batch", 2, "--runtime")
    assert exit_code(*command, "wasm") == 0
    assert "cpu of onnxruntime-web 1.16.3" in capsys.readouterr().out
    assert exit_code(*command, "xnnpack") == 1
    assert "1 output for 2 images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--runtime", "tpu"), "unknown runtime"),
        (("--runtime", "xnnpack", "--threads", "2"), "one thread"),
        (("--runtime", "xnnpack:fast"), "no variants"),
    ],
)
@pytest.mark.parametrize("name", ["verify", "bench"])
def test_what_makes_no_sense_is_refused(
    files: Files, capsys: pytest.CaptureFixture[str], name: str, options: Sequence[str], said: str
) -> None:
    inputs = [files.checkpoint, files.model] if name == "verify" else [files.model]
    assert exit_code(name, *inputs, *options) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("others", [("--provider", "xnnpack"), ("--profile",)])
def test_bench_options_of_this_process_alone(
    files: Files, capsys: pytest.CaptureFixture[str], others: tuple[str, ...]
) -> None:
    assert exit_code("bench", files.model, "--runtime", "xnnpack", *others) == 2
    assert "without --provider and --profile" in capsys.readouterr().err


def test_a_runtime_without_honest_times_is_not_measured(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(MODULES, "emulated", MODULES["cpu"])
    assert exit_code("bench", files.model, "--runtime", "emulated") == 2
    assert "not how fast it is" in capsys.readouterr().err

"""``verify --runtime arm64`` from the command line."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from legoexport.cli import main
from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.runtimes.arm64.processors import EMULATED

ARCH, INPUT_SHAPE = "lego_digits", (1, 1, 8, 8)
RECIPE = {"o": 2, "m_ratio": 0.5}
BAD_CACHE = "1.24.1"


@dataclass(frozen=True)
class Files:
    """A network, its file, and a bundle of both."""

    checkpoint: Path
    model: Path
    bundle: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("arm64")
    found = Files(folder / "c.pt", folder / "m.onnx", folder / "bundle")
    torch.manual_seed(0)
    net = build(ARCH, **RECIPE).eval()
    write_checkpoint(found.checkpoint, net, arch=ARCH, hyperparameters=RECIPE)
    fixed = CompileOptions(dynamic_batch=False)
    conversion = convert_module(net, torch.zeros(INPUT_SHAPE), fixed)
    found.model.write_bytes(conversion.model_bytes)
    assert exit_code("verify", found.checkpoint, found.model, "--save-bundle", found.bundle) == 0
    return found


def exit_code(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([*map(str, arguments)])
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_arm64")
def test_a_bundle_on_every_processor(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("verify", "--bundle", files.bundle, files.model, "--runtime", "arm64", "--json")
    assert exit_code(*command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    said = [one["runtime"] for one in found["replays"]]
    assert len(said) == len(EMULATED)
    for name, words in zip(EMULATED, said, strict=True):
        assert f" on {name} under qemu" in words
        assert any(label.endswith(f", arm64:{name}") for label in found["sets"])


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_arm64")
def test_the_release_that_errs_is_named(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = ("verify", files.checkpoint, files.model, "--runtime", "arm64:max")
    assert exit_code(*inputs, "--runtime-version", BAD_CACHE) == 1
    printed = capsys.readouterr()
    assert "PARITY NOT REACHED" in printed.out
    assert "the file is right on onnxruntime" in printed.err
    assert f"onnxruntime {BAD_CACHE} on max under qemu" in printed.err


def test_without_qemu_it_says_what_to_install(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert exit_code("verify", "--bundle", files.bundle, files.model, "--runtime", "arm64") == 2
    assert "apt-get install qemu-user" in capsys.readouterr().err


def test_emulated_times_are_not_shown(
    files: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name in ("arm64", "arm64:max"):
        assert exit_code("bench", files.model, "--runtime", name) == 2
        assert "not how fast it is" in capsys.readouterr().err


def test_the_runtime_of_this_process_has_one_version(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("verify", "--bundle", files.bundle, files.model, "--runtime-version", BAD_CACHE)
    assert exit_code(*command) == 2
    assert "runtime cpu comes in one version" in capsys.readouterr().err

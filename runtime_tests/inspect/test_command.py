"""legoexport inspect, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from legoexport.cli import main
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command and return its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[object, str, str]:
        code: object = 0
        try:
            main(["inspect", *map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
        return code or 0, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "digits.pt"
    settings = {"o": 4, "m_ratio": 0.25}
    write_checkpoint(
        path, build("lego_digits", **settings), arch="lego_digits", hyperparameters=settings
    )
    return path


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory, model: onnx.ModelProto) -> Path:
    path = tmp_path_factory.mktemp("converted") / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_an_architecture_needs_no_file(inspect: Any) -> None:
    code, out, _ = inspect("--arch", "lego_vgg16", "--set", "o=2", "--set", "m_ratio=0.5")
    assert code == 0
    assert "3.69 M" in out
    assert len([line for line in out.splitlines() if line.startswith("features.")]) == 2 * 12


def test_a_checkpoint_shows_its_masks(inspect: Any, checkpoint: Path) -> None:
    code, out, _ = inspect(checkpoint, "--json")
    report = json.loads(out)
    assert code == 0
    for layer in report["layers"]:
        assert (layer["o"], layer["m"]) == (4, layer["n"] // 4)
        assert layer["ties_count"] == 0
        assert layer["filters_used"] + layer["filters_unused"] == layer["m"]
        assert layer["pairs_used"] <= layer["o"] * layer["m"]
        assert layer["paper_compression_ratio"] == 16
        assert layer["paper_speedup_ratio"] == 4


def test_json_of_a_file_says_how_each_layer_runs(inspect: Any, converted: Path) -> None:
    code, out, _ = inspect(converted, "--json")
    report = json.loads(out)
    assert code == 0
    assert [layer["lowering"] for layer in report["layers"]] == ["grouped"] * 3
    assert report["totals"]["stored"]["total_bytes"] == converted.stat().st_size
    assert report["dense_twin"]["weights"] > report["totals"]["weights"]


def test_tables_of_a_file_name_lowering_and_partition(inspect: Any, converted: Path) -> None:
    _, out, _ = inspect(converted)
    assert "lowering" in out
    assert "partition" in out
    assert "ties" not in out
    assert "bytes: graph" in out


def test_a_file_is_inspected_without_torch(converted: Path) -> None:
    program = (
        "import sys; from legoexport.commands.inspect import command;"
        "command([sys.argv[1]], standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(converted)]
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to inspect"),
        (["--set", "o=2"], "nothing to inspect"),
        (["--arch", "lego_lenet"], "unknown architecture"),
        (["--arch", "lego_vgg16", "--set", "m=3"], "unknown hyper-parameter of lego_vgg16"),
        (["--arch", "lego_vgg16", "--set", "o=7"], "o must divide"),
        (["--arch", "lego_vgg16", "--set", "m_ratio=1e30"], "cannot be built"),
        (["--arch", "lego_vgg16", "--input-size", "3", "3"], "does not run"),
        (["--arch", "vgg16"], "no Lego layer"),
        (["gone.onnx"], "cannot read gone.onnx"),
        (["gone.onnx", "--arch", "lego_vgg16"], "describe a checkpoint"),
        (["gone.pt"], "gone.pt"),
    ],
    ids=str,
)
def test_a_mistake_is_explained(
    inspect: Any, arguments: list[str], message: str, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = inspect(*arguments)
    assert code == 2
    assert out == ""
    assert message in err

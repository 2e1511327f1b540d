"""``legoexport convert`` from end to end: what it writes, and what it does when it cannot."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from legoexport.cli import main
from legoexport.compile.stages import CompileOptions
from legoexport.compile.stamp import read_stamp
from legoexport.deliver.convert import convert_module
from legoexport.errors import InvariantBroken, ParityFailed
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.passes.lowerings.grouped import Grouped
from runtime_tests.command_line import Finished, legoexport_in
from runtime_tests.networks import randomize, small_net


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("convert")
    torch.manual_seed(0)
    module = randomize(build("lego_digits"))
    write_checkpoint(folder / "digits.pt", module, arch="lego_digits", hyperparameters={})
    return folder


def convert(folder: Path, *arguments: str) -> Finished:
    return legoexport_in(folder, "convert", "digits.pt", *arguments)


@pytest.fixture(scope="module")
def converted(folder: Path) -> dict[str, object]:
    done = convert(
        folder,
        *("--out", "digits.onnx", "--dense-twin", "dense.onnx", "--save-plan", "plan.json"),
        *("--save-stages", "stages", "--json"),
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, object] = json.loads(done.stdout)
    return summary


def test_one_file_that_says_where_it_comes_from(folder: Path, converted: dict[str, object]) -> None:
    model = onnx.load(folder / "digits.onnx")
    stamp = read_stamp(model)
    digest = hashlib.sha256((folder / "digits.pt").read_bytes()).hexdigest()
    assert stamp["checkpoint_sha256"] == digest == converted["checkpoint_sha256"]
    assert json.loads(stamp["passes"])[0] == "emit"
    assert set(json.loads(stamp["plan"])["lowerings"].values()) == {"grouped"}
    assert float(stamp["measured_relative_error"]) < 1e-5
    assert {"torch", "onnx", "onnxruntime"} <= set(json.loads(stamp["versions"]))
    assert len(stamp["mask_sha256"]) == 64
    assert str(folder) not in model.SerializeToString().decode("latin-1")
    assert sorted(path.name for path in folder.glob("digits.onnx*")) == ["digits.onnx"]


def test_the_dense_twin_is_the_same_function(folder: Path, converted: dict[str, object]) -> None:
    x = np.random.default_rng(0).standard_normal((3, 1, 8, 8)).astype(np.float32)
    lego, dense = (
        onnxruntime.InferenceSession(folder / name).run(None, {"input": x})[0]
        for name in ("digits.onnx", "dense.onnx")
    )
    # Five layers of float32 sums in two orders.
    assert np.abs(lego - dense).max() <= 1e-5 * np.abs(dense).max()
    assert (folder / "dense.onnx").stat().st_size > 3 * (folder / "digits.onnx").stat().st_size
    assert converted["dense_twin_size_bytes"] == (folder / "dense.onnx").stat().st_size


@pytest.mark.parametrize("wants_twin", [False, True])
def test_only_a_twin_that_is_wanted_is_exported(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    wants_twin: bool,
) -> None:
    exports: list[object] = []
    export = torch.onnx.export

    def noted(module: object, *arguments: object, **keywords: object) -> object:
        exports.append(module)
        return export(module, *arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.onnx, "export", noted)
    wanted = ["--dense-twin", str(tmp_path / "dense.onnx")] if wants_twin else []
    out = str(tmp_path / "digits.onnx")
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(folder / "digits.pt"), "--out", out, *wanted, "--json"])
    summary = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert len(exports) == 1 + wants_twin
    assert (summary["dense_twin_size_bytes"] is None) != wants_twin
    assert (summary["dense_twin_memory"] is None) != wants_twin
    # Counted from the layers: weights alone, without the nodes of a file.
    counted_bytes = summary["dense_twin"]["stored"]["total_bytes"]
    if wants_twin:
        size_bytes = (tmp_path / "dense.onnx").stat().st_size
        assert summary["dense_twin_size_bytes"] == size_bytes
        assert counted_bytes < size_bytes < 1.05 * counted_bytes


def test_every_stage_is_saved(folder: Path, converted: dict[str, object]) -> None:
    names = [path.stem.split("_", 1)[1] for path in sorted((folder / "stages").iterdir())]
    assert names == converted["passes"]
    emitted = onnx.load(folder / "stages" / "00_emit.onnx")
    assert sum(node.op_type == "LegoConv2d" for node in emitted.graph.node) == 4


@pytest.mark.usefixtures("own_exports")
def test_the_same_checkpoint_gives_the_same_bytes(
    folder: Path, converted: dict[str, object]
) -> None:
    done = convert(folder, "--out", "again.onnx", "--plan", "plan.json")
    assert done.returncode == 0, done.stderr
    assert (folder / "again.onnx").read_bytes() == (folder / "digits.onnx").read_bytes()
    assert "parity reached" in done.stdout
    assert converted["size_bytes"] == (folder / "again.onnx").stat().st_size


def test_a_plan_is_followed(folder: Path, converted: dict[str, object]) -> None:
    plan = json.loads((folder / "plan.json").read_text())
    plan["lowerings"]["features.6"] = "per_fragment"
    (folder / "mine.json").write_text(json.dumps(plan))
    done = convert(folder, "--out", "mine.onnx", "--plan", "mine.json", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["plan"] == plan["lowerings"] != converted["plan"]
    names = {node.name for node in onnx.load(folder / "mine.onnx").graph.node}
    assert "features.6/transform/conv_1" in names


def test_a_larger_input_and_a_fixed_batch(folder: Path) -> None:
    done = convert(
        folder, "--out", "large.onnx", "--input-size", "12", "20", "--batch", "2", "--opset", "18"
    )
    assert done.returncode == 0, done.stderr
    model = onnx.load(folder / "large.onnx")
    dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert dims == [2, 1, 12, 20]
    assert model.opset_import[0].version == 18


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--out", "nowhere/x.onnx"], "nowhere"),
        (["--out", "."], "a folder"),
        (["--out", "x.onnx", "--batch", "many"], "many"),
        (["--out", "x.onnx", "--batch", "0"], "--batch"),
        (["--out", "x.onnx", "--opset", "3"], "opset"),
        (["--out", "x.onnx", "--target", "toaster"], "toaster"),
        (["--out", "x.onnx", "--max-size", "4XB"], "4XB"),
        (["--out", "x.onnx", "--max-size", "infMB"], "infMB"),
        (["--out", "x.onnx", "--plan", "digits.pt"], "digits.pt"),
        (["--out", "x.onnx", "--plan", "missing.json"], "missing.json"),
        (["--out", "x.onnx", "--set", "o"], "KEY=VALUE"),
        ([], "--out"),
    ],
)
def test_bad_usage_is_explained(folder: Path, arguments: list[str], named: str) -> None:
    done = convert(folder, *arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "x.onnx").exists()


def test_a_failed_run_leaves_the_old_file(folder: Path) -> None:
    precious = b"\x08\x08\x12precious"  # begins as an ONNX file does
    (folder / "old.onnx").write_bytes(precious)
    before = sorted(folder.iterdir())
    done = convert(folder, "--out", "old.onnx", "--max-size", "10KB")
    assert done.returncode == 1
    assert "--max-size" in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "old.onnx").read_bytes() == precious
    assert sorted(folder.iterdir()) == before


EXAMPLE = torch.zeros(1, 3, 12, 10)


def test_a_live_module_converts_without_a_checkpoint(tmp_path: Path) -> None:
    conversion = convert_module(small_net(), EXAMPLE, CompileOptions())
    assert conversion.agreement.passed
    saved = conversion.save(str(tmp_path / "model.onnx"))
    assert saved.read_bytes() == conversion.model_bytes
    assert list(tmp_path.iterdir()) == [saved]
    stamp = read_stamp(onnx.load_from_string(conversion.model_bytes))
    assert "live module" in stamp["checkpoint_sha256"]


def test_a_lowering_that_computes_something_else_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(self: Grouped, *arguments: object) -> object:
        y = build_right(self, *arguments)  # type: ignore[arg-type]
        draft = arguments[0]
        draft.initializers[-1].const_value.numpy()[0] += 1e-2  # type: ignore[attr-defined]
        return y

    build_right = Grouped.build
    monkeypatch.setattr(Grouped, "build", shifted)
    with pytest.raises((ParityFailed, ValueError)):
        convert_module(small_net(), EXAMPLE, CompileOptions())


def test_the_users_limit_fails_a_live_module_too() -> None:
    with pytest.raises(InvariantBroken, match="--max-size"):
        convert_module(small_net(), EXAMPLE, CompileOptions(), max_size_bytes=1000)

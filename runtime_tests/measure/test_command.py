"""legoexport bench, as it is typed, on a real small model."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from legoexport.host.machine import usable_processors
from runtime_tests.measure.conftest import Bench

SHORT = ("--duration", "0.2", "--threads", "1")
CPU = "CPUExecutionProvider"
TIMING_KEYS = {
    "model", "threads", "provider", "batch_size", "latency", "session_creation_ms", "memory",
    "file_size_bytes", "placement", "profile", "images_per_second", "runtime",
}  # fmt: skip
LATENCY_KEYS = {
    "p50_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms", "std_ms", "min_ms", "runs_count",
}  # fmt: skip
SENTENCE = re.compile(
    r"(\S+ is \d+\.\d\dx faster than \S+|no difference measured between \S+ and \S+)"
    r" \[\d+\.\d\d, \d+\.\d\d\]"
)


def check_timing(timing: dict[str, Any], model: Path) -> None:
    assert set(timing) == TIMING_KEYS
    assert set(timing["latency"]) == LATENCY_KEYS
    assert timing["model"] == str(model)
    assert timing["file_size_bytes"] == model.stat().st_size
    assert timing["session_creation_ms"] > 0
    assert timing["latency"]["runs_count"] >= 1
    expected = timing["batch_size"] * 1e3 / timing["latency"]["mean_ms"]
    assert timing["images_per_second"] == pytest.approx(expected)
    assert {part["provider"] for part in timing["placement"]} == {CPU}


def test_json_of_one_model(bench: Bench, models: dict[str, Path]) -> None:
    code, out, err = bench(models["grouped"], *SHORT, "--batch", 3, "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert set(report) == {"model", "machine"}
    check_timing(report["model"], models["grouped"])
    assert (report["model"]["batch_size"], report["model"]["threads"]) == (3, 1)
    assert report["model"]["profile"] is None
    assert report["machine"]["onnxruntime"] == onnxruntime.__version__
    assert report["machine"]["logical_cores"] >= 1


def test_more_threads_than_processors_are_measured_with_a_warning(
    bench: Bench, models: dict[str, Path]
) -> None:
    threads = len(usable_processors()) + 1
    options = ("--duration", "0.2", "--threads", threads, "--json")
    code, out, err = bench(models["dense"], *options)
    assert (code, json.loads(out)["model"]["threads"]) == (0, threads)
    assert f"WARNING: {threads} threads on {threads - 1} processors" in err


def test_json_of_two_models(bench: Bench, models: dict[str, Path]) -> None:
    code, out, _ = bench(models["grouped"], *SHORT, "--vs", models["dense"], "--json")
    report = json.loads(out)
    assert code == 0
    assert set(report) == {"model", "other", "speedup", "rounds_count", "machine"}
    check_timing(report["model"], models["grouped"])
    check_timing(report["other"], models["dense"])
    speedup = report["speedup"]
    assert 0 < speedup["low_ratio"] <= speedup["estimate_ratio"] <= speedup["high_ratio"]
    assert report["rounds_count"] >= 10


@pytest.mark.parametrize("lowering", ["grouped", "per_fragment", "dense"])
def test_the_parts_of_a_profile_sum_to_its_total(
    bench: Bench, models: dict[str, Path], lowering: str
) -> None:
    code, out, _ = bench(models[lowering], *SHORT, "--profile", "--json")
    profile = json.loads(out)["model"]["profile"]
    assert code == 0
    for shares in (profile["by_operator"], profile["by_layer"]):
        total_ms = sum(share["time_ms"] for share in shares)
        assert total_ms == pytest.approx(profile["total_ms"])
    parts = {(share["name"], share["part"]) for share in profile["by_layer"]}
    wanted = {"transform"} if lowering == "dense" else {"transform", "merge"}
    for layer in ("first", "second", "third"):
        assert wanted <= {part for name, part in parts if name == layer}
    assert ("other", "") in parts


def test_tables_are_plain_text_when_piped(models: dict[str, Path], tmp_path: Path) -> None:
    arguments = [*SHORT, "--vs", str(models["dense"]), "--profile"]
    command = [sys.executable, "-m", "legoexport", "bench", str(models["grouped"]), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    for wanted in ("p99 ms", "images/s", "session ms", "peak", "Where it ran", "onnxruntime"):
        assert wanted in done.stdout
    assert SENTENCE.fullmatch(done.stdout.splitlines()[-1])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("grouped", ["--provider", "quantum"], "unknown execution provider"),
        ("grouped", ["--provider", "cpu", "--batch", "0"], "--batch"),
        ("fixed", ["--batch", "3"], "another batch"),
        ("gone", [], "cannot read"),
        ("broken", [], "does not load"),
        ("grouped", ["--vs", "/gone.onnx"], "cannot read /gone.onnx"),
        ("grouped", ["--duration", "0"], "--duration"),
    ],
)
def test_a_mistake_is_explained(
    bench: Bench, models: dict[str, Path], model: str, arguments: list[str], message: str
) -> None:
    broken = models["fixed"].with_name("broken.onnx")
    broken.write_bytes(b"\x08\x08not onnx")
    path = models.get(model, broken.with_stem(model))
    code, out, err = bench(path, *SHORT, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_provider_that_is_missing_is_answered_with_those_there_are(
    bench: Bench, models: dict[str, Path]
) -> None:
    _, _, err = bench(models["grouped"], "--provider", "quantum")
    for provider in onnxruntime.get_available_providers():
        assert provider.removesuffix("ExecutionProvider").lower() in err


@pytest.mark.skipif(
    "AzureExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="needs a provider that is there and runs nothing",
)
def test_a_provider_that_runs_nothing_fails_the_check(
    bench: Bench, models: dict[str, Path]
) -> None:
    code, out, err = bench(models["grouped"], *SHORT, "--provider", "Azure")
    assert (code, out) == (1, "")
    assert "no node" in err
    assert "all of them on cpu" in err


def test_a_fixed_batch_is_measured_at_that_batch(bench: Bench, models: dict[str, Path]) -> None:
    code, out, _ = bench(models["fixed"], *SHORT, "--batch", 2, "--json")
    assert code == 0
    assert json.loads(out)["model"]["batch_size"] == 2


def test_without_profile_no_graph_is_taken_apart(
    bench: Bench, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    monkeypatch.setattr("legoexport.measure.profile.read_graph", read.append)
    code, _, errors = bench(models["grouped"], "--duration", 0.05, "--json")
    assert (code, read) == (0, []), errors

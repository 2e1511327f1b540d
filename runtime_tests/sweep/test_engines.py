"""Jobs of SLURM, by programs that stand in for its own; and what a call for workers needs."""

from __future__ import annotations

import importlib.util
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import submitit

from legoexport.errors import UsageError
from legoexport.sweep.grid import Grid
from legoexport.sweep.local import LocalEngine
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.slurm import SlurmEngine
from legoexport.training.recipe import Recipe
from runtime_tests.command_line import legoexport

GRID = Grid((2,), (0.5,), (True,), (0,))
PROGRAMS = {
    "srun": "",
    "sbatch": 'cp "$1" "$(dirname "$0")/batch"; echo "Submitted batch job 7"',
    "sacct": 'echo "JobID|State|NodeList"; echo "7|$(cat "$(dirname "$0")/state")|node1"',
    "scancel": 'echo "$1" > "$(dirname "$0")/cancelled"',
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of SLURM's programs, first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    submitit.SlurmJob.watcher.clear()  # all tests have a job 7
    return folder


def request(out: Path) -> SweepRequest:
    return SweepRequest("lego_digits", "digits", out, GRID, Recipe())


@pytest.mark.parametrize(
    ("state", "is_over"),
    [
        ("PENDING", False),
        ("RUNNING", False),
        ("COMPLETED", True),
        ("FAILED", True),
        ("NODE_FAIL", True),
        ("OUT_OF_MEMORY", True),
        ("TIMEOUT", True),
        ("CANCELLED by 0", True),
        ("PREEMPTED", True),
    ],
)
def test_what_slurm_says_of_a_job(state: str, is_over: bool, slurm: Path, tmp_path: Path) -> None:
    (slurm / "state").write_text(state)
    options: dict[str, str | bool] = {"partition": "gpu", "gpus": "1", "exclusive": True}
    job = SlurmEngine(request(tmp_path / "out"), options).submit(GRID.cells[0], 0)
    batch = (slurm / "batch").read_text().splitlines()
    assert {
        *("#SBATCH --partition=gpu", "#SBATCH --gpus=1", "#SBATCH --exclusive"),
        "#SBATCH --no-requeue",
    } <= set(batch)
    assert not [line for line in batch if line.startswith("#SBATCH --time")]
    assert job.name == "job 7"
    assert job.is_over() == is_over
    job.stop()
    assert (slurm / "cancelled").read_text() == "7\n"
    assert job.is_over()
    pickles = list((tmp_path / "out" / "jobs").glob("*.pkl"))
    assert len(pickles) == (not is_over)


def test_what_slurm_refuses_is_told(slurm: Path, tmp_path: Path) -> None:
    (slurm / "sbatch").write_text("#!/bin/sh\necho invalid partition >&2; exit 1\n")
    engine = SlurmEngine(request(tmp_path), {})
    with pytest.raises(UsageError, match="takes no job\n  received: invalid partition"):
        engine.submit(GRID.cells[0], 0)


def test_a_machine_without_slurm_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "out"
    arguments = ("--workers", "2", "--cluster", "slurm")
    assert legoexport("sweep", "--data", "digits", "--out", out, *arguments) == 2
    assert "received: no sbatch, srun, sacct, scancel on the PATH" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("shown", "device", "places"),
    [
        ("3,5", None, ["3", "5", "3"]),
        ("GPU-a,GPU-b", "cuda", ["GPU-a", "GPU-b", "GPU-a"]),
        ("3,5", "cuda:1", ["3,5", "3,5", "3,5"]),
        ("", None, ["", "", ""]),
    ],
)
def test_workers_share_the_accelerators(
    shown: str,
    device: str | None,
    places: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    engine = LocalEngine(replace(request(tmp_path), device=device), 3)
    assert [engine.shown_to(place) for place in range(3)] == places


@pytest.mark.parametrize(("asked", "workers_count", "threads"), [(3, 2, 3), (None, 10**6, 1)])
def test_workers_share_the_processors(
    asked: int | None, workers_count: int, threads: int, tmp_path: Path
) -> None:
    engine = LocalEngine(replace(request(tmp_path), threads=asked), workers_count)
    assert engine.request.threads == threads


def test_a_terminal_does_not_reach_workers(tmp_path: Path) -> None:
    """Submitit would leave them one second to save."""
    masks: list[set[signal.Signals]] = []
    engine = LocalEngine(request(tmp_path), 2)
    engine.executor = SimpleNamespace(submit=lambda *_: masks.append(blocked()))
    engine.submit(GRID.cells[0], 0)
    assert signal.SIGINT in masks[0]
    assert signal.SIGINT not in blocked()


def blocked() -> set[signal.Signals]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())  # type: ignore[return-value]


def test_without_submitit_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "submitit" else found(name)
    )
    out = tmp_path / "out"
    assert legoexport("sweep", "--data", "digits", "--out", out, "--workers", 2) == 2
    assert "pip install 'legoexport[cluster]'" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--cluster slurm", "--cluster is of workers"),
        ("--slurm partition=gpu", "--slurm is of workers"),
        ("--retries 0", "--retries is of workers"),
        ("--workers 2 --slurm partition=gpu", "add --cluster slurm"),
        ("--workers 2 --cluster slurm --slurm --gpus=1", "without its dashes"),
        ("--workers 2 --cluster slurm --slurm gpus=", "without its dashes"),
        ("--workers 0", "--workers"),
        ("--workers 2 --cluster pbs", "--cluster"),
    ],
)
def test_a_mistake_is_explained(
    arguments: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert legoexport("sweep", "--data", "digits", "--out", out, *arguments.split()) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()

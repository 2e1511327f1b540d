"""The launcher itself: one machine, two machines, a worker killed, workers started again."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
import torch

from legoexport.training.state import state_path
from runtime_tests.training import processes
from runtime_tests.training.test_resume import assert_same_bits

LAUNCHER = ("-m", "torch.distributed.run")
ALONE = ("--standalone", "--nproc-per-node", "2")
EPOCHS = 2


def command(pictures: Path, out: Path, *more: str) -> list[str]:
    """A training whose position is on disk after every step."""
    return [
        *("-m", "legoexport", "train", "--arch", "lego_digits", "--data", str(pictures)),
        *("--preset", "digits", "--epochs", str(EPOCHS), "--recipe", "batch_size=32"),
        *("--device", "cpu", "--no-amp", "--threads", "1", "--save-every", "0"),
        *("--out", str(out), *more),
    ]


def launch(options: Sequence[str], train: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *LAUNCHER, *options, *train],
        env=processes.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(agent: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        said, errors = agent.communicate(timeout=processes.TIMEOUT_S)
    finally:
        agent.kill()
    return agent.returncode, said, errors


def kill_one_worker(agent: subprocess.Popen[str], out: Path) -> None:
    """Kill the last worker of ``agent`` once the first epoch is under way."""
    deadline = time.monotonic() + processes.TIMEOUT_S
    while not _is_under_way(out):
        assert agent.poll() is None, agent.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    children = psutil.Process(agent.pid).children()
    workers = [child for child in children if "legoexport" in " ".join(child.cmdline())]
    assert len(workers) == 2
    workers[-1].kill()


def _is_under_way(out: Path) -> bool:
    if not state_path(out).exists():
        return False
    position = torch.load(state_path(out))["position"]
    return (position["epoch"], position["step"]) >= (1, 3)


@pytest.fixture(scope="module")
def undisturbed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes of one machine end with."""
    out = tmp_path_factory.mktemp("undisturbed") / "net.pt"
    code, said, errors = ended(launch(ALONE, command(pictures, out)))
    assert code == 0, errors
    assert said.count("test pictures right") == 1  # one of them speaks
    assert errors.count("2 processes") == 1
    assert "Warning" not in errors.replace("OMP_NUM_THREADS", "")
    return out


@pytest.mark.heavy
def test_two_workers_write_one_checkpoint(undisturbed: Path) -> None:
    assert {path.name for path in undisturbed.parent.iterdir()} == {"net.pt", "net.pt.csv"}
    assert len(Path(f"{undisturbed}.csv").read_text().splitlines()) == 1 + EPOCHS


@pytest.mark.heavy
def test_two_machines_end_with_the_bits_of_one(
    undisturbed: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "net.pt"
    port = processes.rank_environments(1)[0]["MASTER_PORT"]
    shared = ("--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1")
    agents = [
        launch((*shared, "--master-port", port, "--node-rank", rank), command(pictures, out))
        for rank in "01"
    ]
    for code, _, errors in map(ended, agents):
        assert code == 0, errors
    assert_same_bits(out, undisturbed)


@pytest.mark.heavy
def test_a_killed_worker_ends_the_launcher_and_all_resume(
    undisturbed: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "net.pt"
    agent = launch(ALONE, command(pictures, out))
    kill_one_worker(agent, out)
    code, _, errors = ended(agent)
    assert code == 1
    assert "SIGKILL" in errors
    assert not out.exists() or torch.load(out)["state_dict"]  # never half a file
    code, _, errors = ended(launch(ALONE, command(pictures, out, "--resume")))
    assert code == 0, errors
    assert_same_bits(out, undisturbed)


@pytest.mark.heavy
def test_what_the_launcher_starts_again_goes_on(
    undisturbed: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "net.pt"
    agent = launch((*ALONE, "--max-restarts", "1"), command(pictures, out))
    kill_one_worker(agent, out)
    code, _, errors = ended(agent)
    assert code == 0, errors
    assert_same_bits(out, undisturbed)

"""Two processes with half of each batch train as one with all of it; one that dies is noticed."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from legoexport.models.checkpoint import read_checkpoint
from legoexport.training.loop import Watch, run
from legoexport.training.session import Session, Setting
from legoexport.training.state import state_path
from runtime_tests.training import processes
from runtime_tests.training.tiny import RECIPE, tiny_data, tiny_net

WORKER = str(Path(__file__).with_name("ddp_worker.py"))
# Sums over a batch in another order, float64: 1e-16 a step; 20 steps amplify it a hundredfold.
TOLERANCE = 1e-12


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes ends with."""
    out = tmp_path_factory.mktemp("ranks") / "state"
    with processes.started([WORKER, str(out)], processes.rank_environments(2)) as ranks:
        for rank in ranks:
            _, errors = rank.communicate(timeout=processes.TIMEOUT_S)
            assert rank.returncode == 0, errors
            assert "Warning" not in errors
    return [torch.load(out.with_name(f"state{rank}")) for rank in range(2)]


def test_two_processes_end_with_the_weights_of_one(shared: list[dict[str, Any]]) -> None:
    alone = Session(tiny_net(torch.float64), Setting(tiny_data(torch.float64), RECIPE))
    run(alone, Watch())
    for ended in shared:
        for module, part in ((alone.module, "module"), (alone.average.module, "average")):
            for name, tensor in module.state_dict().items():
                torch.testing.assert_close(ended[part][name], tensor, rtol=0, atol=TOLERANCE)
        assert ended["losses"] == pytest.approx([r.mean_loss for r in alone.results], abs=TOLERANCE)
        assert ended["changed"] == [result.changed_choices_count for result in alone.results]
    assert alone.results[0].changed_choices_count > 0


def test_both_end_with_the_very_same(shared: list[dict[str, Any]]) -> None:
    for part in ("module", "average"):
        for name, tensor in shared[0][part].items():
            assert torch.equal(tensor, shared[1][part][name]), name


@pytest.mark.heavy
def test_a_process_that_dies_ends_the_others_and_all_resume(tmp_path: Path, pictures: Path) -> None:
    out = tmp_path / "net.pt"
    train = [
        *("-m", "legoexport", "train", "--arch", "lego_digits", "--data", str(pictures)),
        *("--preset", "digits", "--epochs", "1", "--out", str(out), "--save-every", "0"),
        *("--device", "cpu", "--no-amp", "--recipe", "batch_size=32"),
    ]
    with processes.started(train, processes.rank_environments(2)) as (leader, other):
        deadline = time.monotonic() + processes.TIMEOUT_S
        while not state_path(out).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        other.send_signal(signal.SIGKILL)
        _, errors = leader.communicate(timeout=processes.TIMEOUT_S)
    assert leader.returncode == 1
    assert "another process of this training is gone" in errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    with processes.started([*train, "--resume"], processes.rank_environments(2)) as ranks:
        for rank in ranks:
            _, errors = rank.communicate(timeout=processes.TIMEOUT_S)
            assert rank.returncode == 0, errors
    assert read_checkpoint(out).arch == "lego_digits"
    assert not state_path(out).exists()

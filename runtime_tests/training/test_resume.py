"""A training that was killed, or stopped, goes on to the same numbers, bit by bit."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from legoexport.cli import main
from legoexport.training.state import state_path
from runtime_tests.training import processes

EPOCHS = 3


def arguments(pictures: Path, out: Path, *more: str) -> list[str]:
    recipe = ["batch_size=32", "flips=true", "ema_decay=0.9", "warmup_epochs=2", "nesterov=true"]
    return [
        *("train", "--arch", "lego_digits", "--data", str(pictures), "--out", str(out)),
        *("--preset", "digits", "--epochs", str(EPOCHS), "--device", "cpu", "--no-amp"),
        *("--threads", "1"),
        *(word for value in recipe for word in ("--recipe", value)),
        *more,
    ]


def train(pictures: Path, out: Path, *more: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments(pictures, out, *more))
    assert ended.value.code == 0


@pytest.fixture(scope="module")
def undisturbed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "net.pt"
    train(pictures, out)
    return out


def assert_same_bits(out: Path, wanted: Path) -> None:
    ended, expected = (torch.load(path)["state_dict"] for path in (out, wanted))
    assert ended.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(ended[name], tensor), name
    assert log_without_times(out) == log_without_times(wanted)
    assert not state_path(out).exists()


def log_without_times(out: Path) -> list[list[str]]:
    lines = out.with_name(f"{out.name}.csv").read_text().splitlines()
    return [line.split(",")[:5] for line in lines]


def start(pictures: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "legoexport", *arguments(pictures, out, "--save-every", "0")],
        env=processes.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(process: subprocess.Popen[str], out: Path, epoch: int, step: int) -> None:
    """Wait until the state on disk is from the middle of an epoch."""
    deadline = time.monotonic() + processes.TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        if state_path(out).exists():
            position = torch.load(state_path(out))["position"]
            if (position["epoch"], position["step"]) >= (epoch, step):
                return
        time.sleep(0.001)
    pytest.fail(f"it ended before epoch {epoch}, step {step}")


@pytest.mark.parametrize(("epoch", "step"), [pytest.param(1, 3, marks=pytest.mark.heavy), (3, 1)])
def test_killed_in_the_middle_of_an_epoch(
    pictures: Path, undisturbed: Path, tmp_path: Path, epoch: int, step: int
) -> None:
    out = tmp_path / "net.pt"
    process = start(pictures, out)
    try:
        wait_for_step(process, out, epoch, step)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finally:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert torch.load(state_path(out))["position"]["step"] > 0
    train(pictures, out, "--resume")
    assert_same_bits(out, undisturbed)


def test_ctrl_c_saves_and_says_how_to_go_on(
    pictures: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "net.pt"
    process = start(pictures, out)
    try:
        wait_for_step(process, out, 2, 2)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=processes.TIMEOUT_S)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "--resume" in said
    assert "Traceback" not in said
    train(pictures, out, "--resume")
    assert_same_bits(out, undisturbed)


def test_an_unfinished_training_is_not_overwritten(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net.pt"
    state_path(out).write_bytes(b"weeks of work")
    with pytest.raises(SystemExit) as ended:
        main(arguments(pictures, out))
    assert ended.value.code == 2
    assert "--resume" in capsys.readouterr().err
    assert state_path(out).read_bytes() == b"weeks of work"


@pytest.mark.parametrize("content", [None, b"", b"weeks of work"])
def test_no_state_to_resume(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    out = tmp_path / "net.pt"
    if content is not None:
        state_path(out).write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        main(arguments(pictures, out, "--resume"))
    assert ended.value.code == 2
    assert str(state_path(out)) in capsys.readouterr().err


def test_another_training_is_not_resumed(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net.pt"
    process = start(pictures, out)
    try:
        wait_for_step(process, out, 1, 1)
    finally:
        process.kill()
        process.communicate()
    with pytest.raises(SystemExit) as ended:
        main([*arguments(pictures, out, "--resume"), "--seed", "1"])
    assert ended.value.code == 2
    assert "seed 1" in capsys.readouterr().err

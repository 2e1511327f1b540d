"""Workers answer, fail with a reason, and never outlive the command."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from legoexport.errors import CheckFailed, UsageError
from legoexport.ort import worker
from legoexport.ort.client import WORKER, Client, start_worker

CPU = "CPUExecutionProvider"
FEED = [("input", "float32", [1, 3, 12, 10])]
PATIENCE_S = 60.0


def prepared(client: Client) -> Client:
    client.load(threads=1, provider=CPU)
    client.ask("feed", inputs=FEED)
    return client


def test_a_worker_measures(models: dict[str, Path]) -> None:
    with start_worker(models["grouped"]) as client:
        loaded = client.load(threads=1, provider=CPU)
        client.ask("feed", inputs=FEED)
        latencies_ms = client.measure_ms(0.01)
        assert all(latency_ms > 0 for latency_ms in latencies_ms)
        assert len(client.measure_ms(0.0)) == 1
        peak_bytes = client.ask("memory")["peak_bytes"]
    assert loaded["session_ms"] > 0
    assert loaded["inputs"] == [["input", "tensor(float)", ["batch", 3, 12, 10]]]
    assert 0 < loaded["before_bytes"] < loaded["after_bytes"] <= peak_bytes


def test_the_peak_is_known_without_files_of_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STATUS", Path("/nowhere"))
    assert worker.peak_bytes() > 0


def test_a_damaged_file_is_a_usage_error_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\xffnot a model")
    with start_worker(path) as client, pytest.raises(UsageError, match="PROTOBUF") as caught:
        client.load(threads=1, provider=CPU)
    assert str(path) in str(caught.value)


def test_a_run_that_fails_names_the_file_and_the_reason(models: dict[str, Path]) -> None:
    with start_worker(models["grouped"]) as client:
        prepared(client).ask("feed", inputs=[("input", "float32", [1, 3, 12, 11])])
        with pytest.raises(CheckFailed, match="invalid dimensions") as caught:
            client.measure_ms(0.0)
    assert str(models["grouped"]) in str(caught.value)


def test_a_worker_that_dies_is_reported(models: dict[str, Path]) -> None:
    with start_worker(models["grouped"]) as client:
        prepared(client)
        client._process.kill()
        with pytest.raises(CheckFailed, match="signal 9"):
            client.measure_ms(0.0)


def test_a_worker_that_does_not_answer_is_given_up(models: dict[str, Path]) -> None:
    with (
        start_worker(models["grouped"], longest_s=0.01) as client,
        pytest.raises(CheckFailed, match=r"did not answer within 0\.01 s"),
    ):
        client.load(threads=1, provider=CPU)


def test_a_worker_ends_with_the_block(models: dict[str, Path]) -> None:
    with contextlib.suppress(KeyboardInterrupt), start_worker(models["grouped"]) as client:
        raise KeyboardInterrupt
    assert client._process.poll() is not None


def test_a_worker_ends_when_its_parent_is_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-P", WORKER], stdin=subprocess.DEVNULL, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("ending", "code", "message"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_however_the_command_ends_no_process_is_left(
    models: dict[str, Path], ending: signal.Signals, code: int, message: str
) -> None:
    arguments = ["bench", str(models["grouped"]), "--vs", str(models["dense"]), "--duration", "300"]
    command = subprocess.Popen(
        [sys.executable, "-m", "legoexport", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Whatever started the tests may ignore SIGINT, as a shell does for its background jobs.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    parent = psutil.Process(command.pid)
    try:
        wait_until(lambda: len(parent.children()) == 2)
        children = parent.children()
    finally:
        command.send_signal(ending)
        _, err = command.communicate(timeout=PATIENCE_S)
    assert (command.returncode, err.strip()) == (code, message)
    # A worker that the command could not end ends by itself, after the slice it is measuring.
    wait_until(lambda: not any(child.is_running() for child in children))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)

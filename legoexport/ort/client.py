"""The parent's side of a worker process: it starts, is asked, and always ends."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from legoexport.errors import CheckFailed, UsageError

WORKER = Path(__file__).with_name("worker.py")
# -P: a statistics.py beside the worker, or anything in the user's folder, must not shadow the
# standard library.
COMMAND = (sys.executable, "-P", str(WORKER))
LONGEST_S = 600.0  # a session over a large file, or one run of a slow model
MESSAGE_LINES = 4


class Client:
    """One worker with one model.

    Args:
        path: The ONNX file, for messages.
        process: The worker; its stdin and stdout are pipes of text.
        log: What the worker writes to stderr.
        longest_s: Time given to a request beyond the time it is asked to take.
    """

    def __init__(
        self, path: Path, process: subprocess.Popen[str], log: IO[str], longest_s: float = LONGEST_S
    ) -> None:
        self.path = path
        self._process = process
        self._requests = cast("IO[str]", process.stdin)
        self._answers = cast("IO[str]", process.stdout)
        self._log = log
        self._longest_s = longest_s

    def load(self, **settings: object) -> dict[str, Any]:
        """Create the session.

        Raises:
            UsageError: ONNX Runtime does not load the file.
            CheckFailed: The worker ends or does not answer in time.
        """
        answer = self._answer("load", {"path": str(self.path), **settings}, self._longest_s)
        if "failed" in answer:
            raise UsageError(f"onnxruntime does not load {self.path}", received=answer["failed"])
        done: dict[str, Any] = answer["done"]
        return done

    def measure_ms(self, duration_s: float) -> list[float]:
        """Return the latencies of the runs that fit into ``duration_s``; at least one."""
        limit_s = duration_s + self._longest_s
        done = self._ask("measure", limit_s, duration_s=duration_s)
        return list(done["latencies_ms"])

    def ask(self, name: str, **arguments: object) -> dict[str, Any]:
        """Ask for anything else that the worker does.

        Raises:
            CheckFailed: ONNX Runtime fails, or the worker ends or does not answer in time.
        """
        return self._ask(name, self._longest_s, **arguments)

    def close(self) -> None:
        """Close both pipes."""
        self._answers.close()
        self._requests.close()

    def _ask(self, name: str, limit_s: float, **arguments: object) -> dict[str, Any]:
        answer = self._answer(name, arguments, limit_s)
        if "failed" in answer:
            problem = f"onnxruntime fails while it runs {self.path}"
            raise CheckFailed(problem, received=answer["failed"])
        done: dict[str, Any] = answer["done"]
        return done

    def _answer(self, name: str, arguments: Mapping[str, object], limit_s: float) -> dict[str, Any]:
        expired = threading.Event()
        timer = threading.Timer(limit_s, self._expire, [expired])
        # An interrupt may come between any two lines; a timer left over must not hold the process.
        timer.daemon = True
        try:
            timer.start()
            # A worker that has ended refuses the request; the empty answer then says that it has.
            with contextlib.suppress(BrokenPipeError):
                self._requests.write(json.dumps({"do": name, **arguments}) + "\n")
                self._requests.flush()
            line = self._answers.readline()
        finally:
            timer.cancel()
        if not line:
            raise self._ended(limit_s, expired=expired.is_set())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _expire(self, expired: threading.Event) -> None:
        expired.set()
        self._process.kill()

    def _ended(self, limit_s: float, *, expired: bool) -> CheckFailed:
        if expired:
            return CheckFailed(f"{self.path} did not answer within {limit_s:g} s")
        code = self._process.wait()
        self._log.seek(0)
        said = "\n".join(self._log.read().strip().splitlines()[-MESSAGE_LINES:])
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        problem = f"the process that ran {self.path} ended by {cause}"
        hint = (
            "signal 9 is how the system ends a process when memory is short" if code < 0 else None
        )
        return CheckFailed(problem, received=said or "no message", next_step=hint)


@contextlib.contextmanager
def start_worker(
    path: Path, command: Sequence[str] = COMMAND, longest_s: float = LONGEST_S
) -> Iterator[Client]:
    """Run ``command``, a worker for the file at ``path``, while the block runs and never longer."""
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(  # noqa: S603 - our own file
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        client = Client(path, process, log, longest_s)
        try:
            yield client
        finally:
            process.kill()
            process.communicate()

"""End conversions and trainings at random moments, and count what that has cost.

    python -m runtime_tests.kills --convert 200 --train 60 --seed 0

Signals are SIGKILL, SIGTERM and SIGINT in turn. Whatever ended a conversion, the old file is there
or the whole new one; a training that was ended again and again, and resumed, ends with the bits of
one that was not. After SIGKILL the next command removes what is left. After the others nothing is
left, the exit code is the signal's, and one line says so. ``--signal SIGKILL`` sends that one
alone. ``--fresh`` starts a new Python each time, so that imports are interrupted as well.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch

from legoexport.cli import main as legoexport
from legoexport.host.atomic import SUFFIX
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.signals import WORDS, end_cleanly, exit_code

# Loaded once, so that a fork is at work at once.
LOADED = ("commands.convert", "commands.train", "deliver.convert", "training.run")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TRAIN = (
    "train --arch lego_digits --data digits --epochs 2 --preset digits --save-every 0 --threads 1"
)
STOPPED = "stopped and saved; the same command with --resume goes on"
FAILURES = ("BROKEN", "LEFT BEHIND", "WRONG END")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        duration_s: Time that it took.
        code: Its exit code, or minus the signal that killed it.
        said: What it wrote to stderr.
        sent: The signal that it was sent; None if it was faster.
    """

    duration_s: float
    code: int
    said: str
    sent: signal.Signals | None

    @property
    def is_right(self) -> bool:
        """Whether the code is the signal's and one line says why; or the work was done already.

        A Python that starts or leaves is killed by the signal itself, which shells show alike.
        """
        if self.sent in (None, signal.SIGKILL) or self.code == 0:
            return self.code == 0 or self.sent is not None
        if self.code == -self.sent:
            return "Traceback" not in self.said
        lines = self.said.splitlines()
        return self.code == exit_code(self.sent) and lines[-1:] in ([WORDS[self.sent]], [STOPPED])


class Runner:
    """Runs commands in a folder, each in a fork or in a new Python."""

    def __init__(self, folder: Path, signals: Sequence[signal.Signals], *, fresh: bool) -> None:
        self.folder, self.signals, self.fresh = folder, signals, fresh
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.environment = {**os.environ, "TMPDIR": str(self.temporary)}
        self.runs_count = 0

    def run(self, arguments: list[str], end_after_s: float | None = None) -> Ended:
        """Run a command, ended by the next signal unless it is faster."""
        wanted = self.signals[self.runs_count % len(self.signals)]
        self.runs_count += end_after_s is not None
        start = time.monotonic()
        with tempfile.TemporaryFile("w+") as log:
            pid = self._start(arguments, log.fileno())
            sent = None
            while (done := os.waitpid(pid, os.WNOHANG)) == (0, 0):
                if end_after_s is not None and not sent and time.monotonic() - start > end_after_s:
                    os.kill(pid, wanted)
                    sent = wanted
                time.sleep(0.002)
            log.seek(0)
            code = os.waitstatus_to_exitcode(done[1])
            return Ended(time.monotonic() - start, code, log.read(), sent)

    def left_behind(self) -> list[str]:
        """Names of our temporaries, beside the files and where the system keeps such."""
        beside = [path.name for path in self.folder.iterdir() if path.name.endswith(SUFFIX)]
        return beside + [path.name for path in self.temporary.glob("legoexport-*")]

    def judge(self, ended: Ended, found: Counter[str]) -> None:
        """Count how a command ended, and what it left although it could have removed it."""
        found[ended.sent.name if ended.sent else "faster"] += 1
        if not ended.is_right:
            found["WRONG END"] += 1
            print(f"WRONG END: {ended}", file=sys.stderr)
        if ended.sent != signal.SIGKILL:
            if left := self.left_behind():
                print("LEFT BEHIND:", *left, file=sys.stderr)
            found["LEFT BEHIND"] += len(left)
        else:
            for path in self.temporary.glob("legoexport-*"):  # the system's to tidy up
                shutil.rmtree(path)

    def _start(self, arguments: list[str], log: int) -> int:
        if self.fresh:
            command = [sys.executable, "-m", "legoexport", *arguments]
            action = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
            return os.posix_spawn(
                sys.executable,
                command,
                self.environment,
                file_actions=action,
                setsigdef=[signal.SIGINT],
            )
        signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        pid = os.fork()
        if pid == 0:
            self._run_here(arguments, log)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.signals)
        return pid

    def _run_here(self, arguments: list[str], log: int) -> NoReturn:
        """Be the command, in a fork that has not been sent anything yet."""
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ["TMPDIR"] = tempfile.tempdir = str(self.temporary)
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            end_cleanly()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.signals)
            legoexport(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            sys.stderr.flush()
            os._exit(code)


def kill_conversions(runner: Runner, count: int, draw: random.Random) -> Counter[str]:
    """Convert over an old file, again and again, and look at it after each end."""
    checkpoint, out = runner.folder / "ckpt.pt", runner.folder / "m.onnx"
    torch.manual_seed(0)
    write_checkpoint(checkpoint, build("lego_digits"), arch="lego_digits", hyperparameters={})
    arguments = ["convert", str(checkpoint), "--out", str(out)]
    duration_s = runner.run(arguments).duration_s
    new, old = out.read_bytes(), b"\x08\x08\x12" + bytes(5000)  # begins as an ONNX file does
    found: Counter[str] = Counter()
    for _ in range(count):
        out.write_bytes(old)
        runner.judge(runner.run(arguments, draw.uniform(0, 1.1 * duration_s)), found)
        content = out.read_bytes()
        found["old" if content == old else "new" if content == new else "BROKEN"] += 1
    runner.run(arguments)
    found["BROKEN"] += out.read_bytes() != new
    found["LEFT BEHIND"] += len(runner.left_behind())
    return found


def kill_trainings(runner: Runner, count: int, draw: random.Random) -> Counter[str]:
    """Train, ended until ``count`` signals are used up, each followed by --resume."""
    wanted = runner.folder / "undisturbed.pt"
    duration_s = runner.run([*TRAIN.split(), "--out", str(wanted)]).duration_s
    expected = torch.load(wanted)["state_dict"]
    found: Counter[str] = Counter()
    out, left = runner.folder / "net.pt", count
    while left > 0:
        for path in runner.folder.glob("net.pt*"):
            path.unlink()
        while not out.exists() or state_of(out).exists():
            resume = ["--resume"] if state_of(out).exists() else []
            end_after_s = draw.uniform(0.3, 1.2) * duration_s if left > 0 else None
            ended = runner.run([*TRAIN.split(), "--out", str(out), *resume], end_after_s)
            runner.judge(ended, found)
            left -= 1
        ended_with = torch.load(out)["state_dict"]
        same = all(torch.equal(ended_with[name], tensor) for name, tensor in expected.items())
        found["equal to the bit" if same else "BROKEN"] += 1
    found["LEFT BEHIND"] += len(runner.left_behind())
    return found


def state_of(checkpoint: Path) -> Path:
    """Where a training keeps what it needs to go on."""
    return checkpoint.with_name(f"{checkpoint.name}.state")


def main() -> None:
    """Run both campaigns and exit 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--convert", type=int, default=200)
    parser.add_argument("--train", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fresh", action="store_true")
    names = [one.name for one in SIGNALS]
    parser.add_argument("--signal", choices=names, help="send this one alone")
    options = parser.parse_args()
    for module in LOADED:
        importlib.import_module(f"legoexport.{module}")
    draw = random.Random(options.seed)  # noqa: S311 - no secret
    signals = (signal.Signals[options.signal],) if options.signal else SIGNALS
    lost = 0
    for name, campaign, count in (
        ("convert", kill_conversions, options.convert),
        ("train", kill_trainings, options.train),
    ):
        with tempfile.TemporaryDirectory() as folder:
            runner = Runner(Path(folder), signals, fresh=options.fresh)
            found = campaign(runner, count, draw) if count else Counter[str]()
        lost += sum(found[failure] for failure in FAILURES)
        print(f"{name}: " + ", ".join(f"{number} {what}" for what, number in found.items()))
    sys.exit(lost > 0)


if __name__ == "__main__":
    main()

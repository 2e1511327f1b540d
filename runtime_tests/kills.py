"""Kill conversions and trainings at random moments, and count what that has cost.

    python -m runtime_tests.kills --convert 200 --train 60 --seed 0

A killed conversion leaves the old file or the whole new one, and the next conversion leaves nothing
else. A training that was killed again and again, and resumed, ends with the bits of one that was
not. Signals are SIGKILL, SIGTERM and SIGINT in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch

from legoexport.cli import main as legoexport
from legoexport.host.atomic import SUFFIX
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build

# Loaded once, so that a fork is at work at once.
LOADED = ("commands.convert", "commands.train", "deliver.convert", "training.run")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TRAIN = (
    "train --arch lego_digits --data digits --epochs 2 --preset digits --save-every 0 --threads 1"
)


def run(arguments: list[str], kill_after_s: float | None = None, number: int = 0) -> float:
    """Run the command in a fork, killed unless it is faster; return the seconds that it took."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                legoexport(arguments)
            finally:
                os._exit(0)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if kill_after_s is not None and time.monotonic() - start > kill_after_s:
            os.kill(child, SIGNALS[number % len(SIGNALS)])
            os.waitpid(child, 0)
            break
        time.sleep(0.002)
    return time.monotonic() - start


def left_behind(folder: Path) -> list[str]:
    """Names of temporaries."""
    return [path.name for path in folder.iterdir() if path.name.endswith(SUFFIX)]


def kill_conversions(folder: Path, count: int, draw: random.Random) -> Counter[str]:
    """Convert over an old file, again and again, and look at it after each kill."""
    checkpoint, out = folder / "ckpt.pt", folder / "m.onnx"
    torch.manual_seed(0)
    write_checkpoint(checkpoint, build("lego_digits"), arch="lego_digits", hyperparameters={})
    arguments = ["convert", str(checkpoint), "--out", str(out)]
    duration_s = run(arguments)
    new, old = out.read_bytes(), b"\x08\x08\x12" + bytes(5000)  # begins as an ONNX file does
    found: Counter[str] = Counter(kills=count)
    for number in range(count):
        out.write_bytes(old)
        run(arguments, draw.uniform(0, 1.1 * duration_s), number)
        content = out.read_bytes()
        found["old" if content == old else "new" if content == new else "BROKEN"] += 1
    run(arguments)
    found["BROKEN"] += out.read_bytes() != new
    found["LEFT BEHIND"] += len(left_behind(folder))
    return found


def kill_trainings(folder: Path, count: int, draw: random.Random) -> Counter[str]:
    """Train with kills until ``count`` are used up, each followed by --resume."""
    wanted = folder / "undisturbed.pt"
    duration_s = run([*TRAIN.split(), "--out", str(wanted)])
    expected = torch.load(wanted)["state_dict"]
    found: Counter[str] = Counter(kills=count)
    out, number = folder / "net.pt", 0
    while number < count:
        for path in folder.glob("net.pt*"):
            path.unlink()
        while not out.exists():
            state = folder / "net.pt.state"
            resume = ["--resume"] if state.exists() else []
            kill_after_s = draw.uniform(0.3, 1.2) * duration_s if number < count else None
            run([*TRAIN.split(), "--out", str(out), *resume], kill_after_s, number)
            number += 1
        ended = torch.load(out)["state_dict"]
        same = all(torch.equal(ended[name], tensor) for name, tensor in expected.items())
        found["equal to the bit" if same else "BROKEN"] += 1
    found["LEFT BEHIND"] += len(left_behind(folder))
    return found


def main() -> None:
    """Run both campaigns and exit 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--convert", type=int, default=200)
    parser.add_argument("--train", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for module in LOADED:
        importlib.import_module(f"legoexport.{module}")
    draw = random.Random(options.seed)  # noqa: S311 - no secret
    lost = 0
    for name, campaign, count in (
        ("convert", kill_conversions, options.convert),
        ("train", kill_trainings, options.train),
    ):
        with tempfile.TemporaryDirectory() as folder:
            found = campaign(Path(folder), count, draw) if count else Counter[str]()
        lost += found["BROKEN"] + found["LEFT BEHIND"]
        print(f"{name}: " + ", ".join(f"{number} {what}" for what, number in found.items()))
    sys.exit(lost > 0)


if __name__ == "__main__":
    main()

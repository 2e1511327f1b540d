"""``python -m legoexport.demo``: the main job on an embedded default, by the commands a user types.

Trains a small LegoNet on scikit-learn's handwritten digits, converts it, verifies it on held-out
images, does so in int8 too, measures both beside their dense twins, and ends with one table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from legoexport.errors import CheckFailed, LegoExportError
from legoexport.host.report import format_bytes, format_count, print_table, print_text
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.training.data import digits
from legoexport.training.evaluate import count_correct
from legoexport.training.loop import train
from legoexport.training.recipe import PRESETS
from legoexport.training.results import EpochResult

FOLDER = Path("demo")
ARCH = "lego_digits"
HYPERPARAMETERS = {"o": 2, "m_ratio": 0.5}
LEAST_ACCURACY = 0.97
BENCH_SECONDS = 5
TUNE_SECONDS = 15
TRAINING_THREADS = 2
SEED = 0
COLUMNS = ("", "LegoNet fp32", "dense fp32", "LegoNet int8", "dense int8")


def main() -> None:
    """Run the demo; exit code 1 if any part of it falls short."""
    FOLDER.mkdir(exist_ok=True)
    try:
        accuracy = train_digits()
        in_fp32, verified = _convert_and_verify()
        in_int8 = Form.of(
            run(
                *("convert", "digits.pt", "--precision", "int8", "--data", "digits"),
                *("--out", "int8.onnx", "--dense-twin", "dense_int8.onnx"),
                record="convert_int8.json",
            ),
            _bench("int8.onnx", "dense_int8.onnx", "bench_int8.json"),
        )
    except LegoExportError as error:
        sys.exit(f"error: {error}")
    print_results(accuracy, verified, in_fp32, in_int8)


def _convert_and_verify() -> tuple[Form, dict[str, Any]]:
    converted = run(
        *("convert", "digits.pt", "--out", "digits.onnx", "--dense-twin", "dense.onnx"),
        *("--tune", "--budget", str(TUNE_SECONDS)),
    )
    verified = run("verify", "digits.pt", "digits.onnx", "--data", "test_images.npz")
    return Form.of(converted, _bench("digits.onnx", "dense.onnx", "bench.json")), verified


def _bench(model: str, twin: str, record: str) -> dict[str, Any]:
    options = ("--threads", "1", "--duration", str(BENCH_SECONDS))
    return run("bench", model, "--vs", twin, *options, record=record)


@dataclass(frozen=True)
class Form:
    """A network in one precision, beside its dense twin in the same.

    Attributes:
        converted: What ``convert`` printed.
        timed: What ``bench`` printed of both.
        right_counts: Held-out images that each has right, the twin last.
    """

    converted: dict[str, Any]
    timed: dict[str, Any]
    right_counts: tuple[int, int] | None

    @classmethod
    def of(cls, converted: dict[str, Any], timed: dict[str, Any]) -> Form:
        """Take what the commands printed; only what int8 costs tells right answers."""
        if converted["int8"] is None:
            return cls(converted, timed, None)
        (scores,) = converted["int8"]["cost"]["scores"]
        right = {one["file"]: one["right_count"] for one in scores["files"]}
        return cls(converted, timed, (right["this file"], right["dense twin"]))

    @property
    def sizes(self) -> tuple[str, str]:
        """Size of both files."""
        sizes = self.converted["size_bytes"], self.converted["dense_twin_size_bytes"]
        return format_bytes(sizes[0]), format_bytes(sizes[1])

    @property
    def latencies(self) -> tuple[str, str]:
        """Median latency of both files."""
        model, other = (self.timed[key]["latency"]["p50_ms"] for key in ("model", "other"))
        return f"{model:.3f} ms", f"{other:.3f} ms"

    @property
    def speedup(self) -> tuple[str, str]:
        """How many times faster than the twin in the same precision."""
        return f"{self.timed['speedup']['estimate_ratio']:.2f}x", "1x"


def train_digits() -> float:
    """Train, write ``digits.pt`` and ``test_images.npz``, and return the held-out accuracy.

    Raises:
        CheckFailed: The network did not learn the digits.
    """
    data = digits.load()
    recipe = PRESETS["digits"]
    print_text(f"training {ARCH} on {len(data.train_labels)} digits, {recipe.epochs} epochs")
    # One thread more than there are idle cores, and all of them wait for it at every layer.
    torch.set_num_threads(min(TRAINING_THREADS, torch.get_num_threads()))
    torch.manual_seed(SEED)
    module = build(ARCH, **HYPERPARAMETERS)
    start = time.monotonic()
    train(module, data, recipe, _print_epoch, seed=SEED)
    correct = count_correct(module, data)
    accuracy = correct / len(data.test_labels)
    seconds = time.monotonic() - start
    print_text(f"{correct} of {len(data.test_labels)} held-out digits right, {seconds:.0f} s")
    if accuracy < LEAST_ACCURACY:
        raise CheckFailed("held-out accuracy", received=accuracy, legal=f">= {LEAST_ACCURACY}")
    write_checkpoint(FOLDER / "digits.pt", module, arch=ARCH, hyperparameters=HYPERPARAMETERS)
    images, labels = data.test_images.numpy(), data.test_labels.numpy()
    np.savez(FOLDER / "test_images.npz", images=images, labels=labels)
    return accuracy


def _print_epoch(result: EpochResult) -> None:
    print_text(
        f"  epoch {result.epoch:2}  loss {result.mean_loss:.3f}"
        f"  held-out accuracy {result.test_accuracy:.1%}"
        f"  masks changed {result.changed_choices_count}"
    )


def run(*arguments: str, record: str | None = None) -> dict[str, Any]:
    """Run a legoexport command in the demo folder, show it, and return what it prints as JSON.

    Args:
        *arguments: The command and its arguments.
        record: File to keep the JSON in; named after the command unless given.

    Raises:
        CheckFailed: It failed; its own message went to stderr.
    """
    print_text(f"$ legoexport {' '.join(arguments)}")
    command = [sys.executable, "-m", "legoexport", *arguments, "--json"]
    done = subprocess.run(  # noqa: S603 - our own command with our own arguments
        command, cwd=FOLDER, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise CheckFailed(f"legoexport {arguments[0]} failed", received=f"exit {done.returncode}")
    (FOLDER / (record or f"{arguments[0]}.json")).write_text(done.stdout)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def print_results(accuracy: float, verified: dict[str, Any], in_fp32: Form, in_int8: Form) -> None:
    """Print the one table: the LegoNet beside its dense twin, in fp32 and in int8.

    Args:
        accuracy: Held-out accuracy in PyTorch, from 0 to 1.
        verified: What ``verify`` printed of the file in fp32.
        in_fp32: The network in fp32.
        in_int8: The network in int8.
    """
    print_text("")
    print_table("LegoNet on handwritten digits", COLUMNS, _rows(verified, in_fp32, in_int8))
    speedups = [_speedup(name, form) for name, form in (("fp32", in_fp32), ("int8", in_int8))]
    print_text(
        f"accuracy {accuracy:.1%}, equal in PyTorch and ONNX Runtime in fp32;"
        f" faster than the dense twin {speedups[0]}, {speedups[1]}"
    )
    print_text(f"files in {FOLDER}/: {', '.join(sorted(path.name for path in FOLDER.iterdir()))}")


def _speedup(name: str, form: Form) -> str:
    found = form.timed["speedup"]
    interval = f"[{found['low_ratio']:.2f}, {found['high_ratio']:.2f}]"
    return f"{found['estimate_ratio']:.2f}x {interval} in {name}"


def _rows(verified: dict[str, Any], in_fp32: Form, in_int8: Form) -> list[list[str]]:
    own, twin = in_fp32.converted["totals"], in_fp32.converted["dense_twin"]
    correct = verified["agreement"]["accuracy"]
    right = (correct["onnx_correct_count"], "same function")
    counts = [*right, *(in_int8.right_counts or ("-", "-"))]
    weights = [format_count(one["weights"]) for one in (own, twin)]
    macs = [format_count(one["counted_macs"]) for one in (own, twin)]
    return [
        ["parameters", *weights, *weights],
        ["multiply-adds", *macs, *macs],
        ["file", *in_fp32.sizes, *in_int8.sizes],
        [f"right of {correct['images_count']}", *map(str, counts)],
        ["median latency, 1 thread", *in_fp32.latencies, *in_int8.latencies],
        ["speed-up, same precision", *in_fp32.speedup, *in_int8.speedup],
    ]


if __name__ == "__main__":
    main()

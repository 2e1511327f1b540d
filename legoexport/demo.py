"""``python -m legoexport.demo``: the main job on an embedded default, by the commands a user types.

Trains a small LegoNet on scikit-learn's handwritten digits, converts it, verifies it on held-out
images, measures it beside its dense twin, and ends with one table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
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


def main() -> None:
    """Run the demo; exit code 1 if any part of it falls short."""
    FOLDER.mkdir(exist_ok=True)
    try:
        accuracy = train_digits()
        converted = run(
            *("convert", "digits.pt", "--out", "digits.onnx", "--dense-twin", "dense.onnx"),
            *("--tune", "--budget", str(TUNE_SECONDS)),
        )
        verified = run("verify", "digits.pt", "digits.onnx", "--data", "test_images.npz")
        duration = str(BENCH_SECONDS)
        timed = run(
            *(
                "bench",
                "digits.onnx",
                "--vs",
                "dense.onnx",
                "--threads",
                "1",
                "--duration",
                duration,
            )
        )
    except LegoExportError as error:
        sys.exit(f"error: {error}")
    print_results(accuracy, converted, verified, timed)


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


def run(*arguments: str) -> dict[str, Any]:
    """Run a legoexport command in the demo folder, show it, and return what it prints as JSON.

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
    (FOLDER / f"{arguments[0]}.json").write_text(done.stdout)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def print_results(
    accuracy: float, converted: dict[str, Any], verified: dict[str, Any], timed: dict[str, Any]
) -> None:
    """Print the one table, LegoNet beside dense twin."""
    own, twin = converted["totals"], converted["dense_twin"]
    correct = verified["agreement"]["accuracy"]
    images = correct["images_count"]
    speedup = timed["speedup"]
    rows = [
        ["parameters", format_count(own["weights"]), format_count(twin["weights"])],
        [
            "multiply-adds",
            format_count(own["counted_macs"]),
            format_count(twin["counted_macs"]),
        ],
        [
            "file",
            format_bytes(converted["size_bytes"]),
            format_bytes(converted["dense_twin_size_bytes"]),
        ],
        ["right in PyTorch", f"{correct['pytorch_correct_count']}/{images}", "same function"],
        ["right in ONNX Runtime", f"{correct['onnx_correct_count']}/{images}", "same function"],
        [
            "median latency, 1 thread",
            f"{timed['model']['latency']['p50_ms']:.3f} ms",
            f"{timed['other']['latency']['p50_ms']:.3f} ms",
        ],
    ]
    print_text("")
    print_table("LegoNet on handwritten digits", ["", "LegoNet", "dense twin"], rows)
    print_text(
        f"accuracy {accuracy:.1%}, equal in PyTorch and ONNX Runtime;"
        f" {speedup['estimate_ratio']:.2f}x faster than the dense twin"
        f" [{speedup['low_ratio']:.2f}, {speedup['high_ratio']:.2f}]"
    )
    print_text(f"files in {FOLDER}/: {', '.join(sorted(path.name for path in FOLDER.iterdir()))}")


if __name__ == "__main__":
    main()

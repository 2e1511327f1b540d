"""What each step of ``legoexport fit`` is worth: held-out accuracy before any labelled training.

    python -m benchmarks.fit_steps dense.pt cifar10-jpeg.zip --device cuda --pairs 2:0.5,4:0.25 \
        --steps 200,1000 --minutes 6

Prints the tables of docs/fit.md, a row as soon as it is known, and ends at the first row that would
begin after the minutes are spent.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from legoexport.models.checkpoint import read_checkpoint
from legoexport.models.fitting.calibrate import recalibrate
from legoexport.models.fitting.cluster import FitOptions
from legoexport.models.fitting.distill import DistillOptions
from legoexport.models.fitting.layer_outputs import LayerOptions
from legoexport.models.fitting.network import fit_network
from legoexport.models.legofy import legofy
from legoexport.training.data.images import ImageData
from legoexport.training.data.source import load
from legoexport.training.evaluate import count_correct
from legoexport.training.fit import choose_device
from legoexport.training.fit_outputs import (
    CALIBRATION_COUNT,
    OutputOptions,
    draw_scores_together,
    fit_layers,
    some_images,
)
from legoexport.training.ranks import ALONE


@dataclass(frozen=True)
class Given:
    """What is measured.

    Attributes:
        dense: The trained network, in eval mode.
        data: Pictures, on its device.
        options: How long outputs are fitted.
        steps: Numbers of gradient steps on the scores to try.
        rates: Learning rates to try with each.
        restarts_count: Seedings of the clustering.
    """

    dense: nn.Module
    data: ImageData
    options: OutputOptions
    steps: tuple[int, ...]
    rates: tuple[float, ...]
    restarts_count: int


@dataclass(frozen=True)
class Row:
    """One step and what the network is worth after it.

    Attributes:
        step: What was done, on top of the step before.
        correct_count: Held-out pictures that are right.
        seconds: Time of this step alone.
    """

    step: str
    correct_count: int
    seconds: float


def measure(given: Given, o: int, m_ratio: float) -> Iterator[Row]:
    """Yield a row after each step."""
    clock = time.monotonic()
    lego = legofy(given.dense, o=o, m_ratio=m_ratio).module
    fit_network(lego, given.dense, FitOptions(restarts_count=given.restarts_count))
    plain = copy.deepcopy(lego)
    recalibrate(plain, some_images(given.data, CALIBRATION_COUNT))
    yield _row(given, plain, "weights clustered", clock)
    clock = time.monotonic()
    fits = fit_layers(lego, given.dense, given.data, given.options.layers)
    for fit in fits:
        before, after = fit.clustered_error_ratio, fit.fitted_error_ratio
        _say(f"    {fit.layer:24} output error {before:.1%} -> {after:.1%}")
    yield _row(given, lego, "outputs of each layer fitted", clock)
    for start, name in ((plain, "weights"), (lego, "outputs")):
        for steps_count in given.steps:
            for rate in given.rates:
                yield _drawn(given, start, name, steps_count, rate)


def _drawn(given: Given, start: nn.Module, name: str, steps_count: int, rate: float) -> Row:
    clock, module = time.monotonic(), copy.deepcopy(start)
    whole = replace(given.options.whole, steps_count=steps_count, learning_rate=rate)
    draw_scores_together(module, given.dense, given.data, whole)
    return _row(given, module, f"{name}, then {steps_count} steps on scores at {rate:g}", clock)


def _row(given: Given, module: nn.Module, step: str, clock: float) -> Row:
    correct_count = count_correct(module, given.data)
    return Row(step, correct_count, time.monotonic() - clock)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Measure, and print each row as soon as it is known."""
    asked = _arguments()
    deadline = time.monotonic() + 60 * asked.minutes
    given = _read(asked)
    count = len(given.data.test_labels)
    _say(f"dense {count_correct(given.dense, given.data) / count:.2%} of {count} pictures")
    for pair in asked.pairs.split(","):
        o, m_ratio = pair.split(":")
        _say(f"o={o}, m={m_ratio}")
        for row in measure(given, int(o), float(m_ratio)):
            _say(f"{row.correct_count / count:8.2%} {row.seconds:7.1f} s  {row.step}")
            if time.monotonic() > deadline:
                _say("the minutes are spent")
                return


def _read(asked: argparse.Namespace) -> Given:
    device = choose_device(asked.device, ALONE)
    dense = read_checkpoint(asked.dense, dense=True)
    channels, size, _ = dense.input_shape
    data = load(asked.data, channels=channels, size=size).data.to(device)
    layers = LayerOptions(
        images_count=asked.images,
        positions_count=asked.positions,
        rounds_count=asked.rounds,
        damping_ratio=asked.damping,
    )
    options = OutputOptions(layers, DistillOptions(batch_size=asked.batch_size))
    steps = tuple(int(each) for each in asked.steps.split(","))
    rates = tuple(float(each) for each in asked.rates.split(","))
    network = dense.module.eval().to(device)
    return Given(network, data, options, steps, rates, asked.restarts)


def _arguments() -> argparse.Namespace:
    layers, whole = LayerOptions(), DistillOptions()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dense", type=Path)
    parser.add_argument("data")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", default="2:0.5", help="o:m-ratio, with commas between")
    parser.add_argument("--steps", default="100")
    parser.add_argument("--rates", default=str(whole.learning_rate))
    parser.add_argument("--batch-size", type=int, default=whole.batch_size)
    parser.add_argument("--images", type=int, default=layers.images_count)
    parser.add_argument("--positions", type=int, default=layers.positions_count)
    parser.add_argument("--rounds", type=int, default=layers.rounds_count)
    parser.add_argument("--damping", type=float, default=layers.damping_ratio)
    parser.add_argument("--restarts", type=int, default=FitOptions().restarts_count)
    parser.add_argument("--minutes", type=float, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Plant changes in a converted file, one at a time, and count how many are caught and named.

    python -m runtime_tests.planted --count 100 --seed 0
    python -m runtime_tests.planted --precision int8 --count 100 --seed 0

A change is named if the tensor, node or entry that it was made in is, and the layer. The file is
rebuilt once, and each changed one compared with it; one with changed metadata is rebuilt by what it
says. ``versions`` and ``measured_relative_error`` are left alone: no checkpoint gives them.

No checkpoint gives the scales of activations in int8 either. They are taken from the file, and held
against their digest: a changed one is named by ``legoexport.scales_sha256``.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.errors import UsageError
from legoexport.parity.compare_models import compare_models
from legoexport.parity.exact import check_exactly
from legoexport.parity.opened import open_model
from legoexport.parity.rebuild import compile_inputs, rebuild
from legoexport.passes.plan import Plan
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from runtime_tests.parity.networks import (
    INPUT_SHAPE,
    LAYER_NAMES,
    Converted,
    converted,
    small_net,
)
from runtime_tests.planted_changes import INT8_KINDS, KINDS, Plant

SHA256 = "0" * 64
SCALES_DIGEST = ("legoexport.scales_sha256", None)


# Such a file is rebuilt by what it says itself.
READ_FROM_THE_FILE = ("metadata", "scale", "zero point")


def in_int8() -> Converted:
    """The same network as ``converted`` has, computing in int8."""
    images = np.random.default_rng(0).standard_normal((8, *INPUT_SHAPE)).astype(np.float32)
    net, example = small_net(), torch.zeros(1, *INPUT_SHAPE)
    conversion = convert_module(
        net,
        example,
        CompileOptions(precision="int8", plan=Plan(dict.fromkeys(LAYER_NAMES, "int8_grouped"))),
        checkpoint_sha256=SHA256,
        calibrate=CalibrationOptions(CalibrationImages.of(images)),
    )
    model = onnx.load_from_string(conversion.model_bytes)
    return Converted(net, conversion.network, conversion.compiled, model)


class Examiner:
    """Says of a changed file in which respects it differs."""

    def __init__(self, file: Converted) -> None:
        self.file = file
        opened = open_model(file.model.SerializeToString())
        self.rebuilt = rebuild(
            compile_inputs(opened, file.network),
            file.model,
            checkpoint_sha256=SHA256,
            normalization=None,
        )

    def differences(self, kind: str, model: onnx.ModelProto) -> Iterable[tuple[str, str | None]]:
        """Return where the file differs and the layer, for each difference."""
        found = compare_models(self.rebuilt, model)
        if kind in READ_FROM_THE_FILE:
            try:
                opened = open_model(model.SerializeToString())
            except UsageError as error:
                return [(name, None) for name in str(error).split()]
            found = check_exactly(
                opened, self.file.network, checkpoint_sha256=SHA256, normalization=None
            ).differences
        return [(one.where.split()[0], one.layer) for one in found]


@dataclass(frozen=True)
class Tally:
    """What became of the changes of one kind."""

    planted: Counter[str]
    caught: Counter[str]
    named: Counter[str]

    @property
    def all_named(self) -> bool:
        """Whether every change was caught and named."""
        return self.planted == self.caught == self.named


def campaign(file: Converted, kinds: Mapping[str, Plant], count: int, seed: int) -> Tally:
    """Plant ``count`` changes, kind after kind, each in a fresh copy of the file."""
    examiner = Examiner(file)
    tally = Tally(Counter(), Counter(), Counter())
    for number in range(count):
        kind = list(kinds)[number % len(kinds)]
        model = examiner.file.copy()
        draw = random.Random(f"{seed} {number}")  # noqa: S311 - it has to repeat itself
        place = kinds[kind](model, draw)
        found = examiner.differences(kind, model)
        is_named = (place.name, place.layer) in found or (
            kind in ("scale", "zero point") and SCALES_DIGEST in found
        )
        tally.planted[kind] += 1
        tally.caught[kind] += bool(found)
        tally.named[kind] += is_named
        if not is_named:
            print(f"change {number}, {kind} in {place}: found {found}", file=sys.stderr)
    return tally


def main() -> int:
    """Run a campaign and print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="how many changes")
    parser.add_argument("--seed", type=int, default=0, help="draws other changes")
    parser.add_argument("--precision", choices=["fp32", "int8"], default="fp32")
    options = parser.parse_args()
    in_fp32 = options.precision == "fp32"
    file, kinds = (converted("grouped"), KINDS) if in_fp32 else (in_int8(), INT8_KINDS)
    tally = campaign(file, kinds, options.count, options.seed)
    for kind in kinds:
        print(f"{kind:16} {tally.planted[kind]:4} planted", end="")
        print(f" {tally.caught[kind]:4} caught {tally.named[kind]:4} named")
    totals = [one.total() for one in (tally.planted, tally.caught, tally.named)]
    print("{:16} {:4} planted {:4} caught {:4} named".format("all", *totals))
    return 0 if tally.all_named else 1


if __name__ == "__main__":
    sys.exit(main())

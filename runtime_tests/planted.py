"""Plant changes in a converted file, one at a time, and count how many are caught and named.

    python -m runtime_tests.planted --count 100 --seed 0

A change is named if the tensor, node or entry that it was made in is, and the layer. The file is
rebuilt once, and each changed one compared with it; one with changed metadata is rebuilt by what it
says. ``versions`` and ``measured_relative_error`` are left alone: no checkpoint gives them.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx
from onnx import numpy_helper

from legoexport.errors import UsageError
from legoexport.parity.compare_models import compare_models
from legoexport.parity.exact import check_exactly
from legoexport.parity.opened import open_model
from legoexport.parity.rebuild import compile_inputs, rebuild
from runtime_tests.parity.networks import LAYER_NAMES, Converted, converted

SHA256 = "0" * 64
METADATA = ("checkpoint_sha256", "layers", "mask_sha256", "passes", "plan", "target")


@dataclass(frozen=True)
class Place:
    """Where a change was planted, and the layer that this belongs to, if it belongs to one."""

    name: str
    layer: str | None


Plant = Callable[[onnx.ModelProto, random.Random], Place]


def layer_of(*names: str) -> str | None:
    """The Lego layer that a name starts with, else the module of a parameter's name."""
    for layer in LAYER_NAMES:
        if any(name.startswith((f"{layer}/", f"{layer}.")) for name in names):
            return layer
    return next((name.rpartition(".")[0] for name in names if "." in name), None)


def change_tensor(
    ends: tuple[str, ...], change: Callable[[np.ndarray, random.Random], None]
) -> Plant:
    """Change one entry of a tensor whose name ends so."""

    def plant(model: onnx.ModelProto, draw: random.Random) -> Place:
        tensor = draw.choice([t for t in model.graph.initializer if t.name.endswith(ends)])
        array = numpy_helper.to_array(tensor).copy()
        change(array.reshape(-1), draw)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        return Place(tensor.name, layer_of(tensor.name))

    return plant


def another_index(entries: np.ndarray, draw: random.Random) -> None:
    """Let an entry point at the map or filter that another entry points at."""
    place = draw.randrange(len(entries))
    entries[place] = draw.choice(entries[entries != entries[place]])


def a_step(entries: np.ndarray, draw: random.Random) -> None:
    """Move an entry to the next number in float32."""
    place = draw.randrange(len(entries))
    entries[place] = np.nextafter(entries[place], np.float32(np.inf))


def a_bit(entries: np.ndarray, draw: random.Random) -> None:
    """Flip any bit of an entry."""
    entries.view(np.uint32)[draw.randrange(len(entries))] ^= np.uint32(1 << draw.randrange(32))


def change_attribute(name: str) -> Plant:
    """Add one to an entry of an attribute of some node."""

    def plant(model: onnx.ModelProto, draw: random.Random) -> Place:
        pairs = [(n, a) for n in model.graph.node for a in n.attribute if a.name == name]
        node, attribute = draw.choice(pairs)
        attribute.ints[draw.randrange(len(attribute.ints))] += 1
        return Place(node.name, layer_of(node.name, *node.input[1:]))

    return plant


def change_edge(model: onnx.ModelProto, draw: random.Random) -> Place:
    """Let a node take another value that is there before it."""
    place = draw.randrange(len(model.graph.node))
    node = model.graph.node[place]
    before = [one.name for one in (*model.graph.input, *model.graph.initializer)]
    before += [name for one in model.graph.node[:place] for name in one.output]
    position = draw.randrange(len(node.input))
    layer = layer_of(node.name, *node.input[1:])
    node.input[position] = draw.choice([one for one in before if one != node.input[position]])
    return Place(node.name, layer)


def change_metadata(model: onnx.ModelProto, draw: random.Random) -> Place:
    """Damage one character of an entry."""
    name = f"legoexport.{draw.choice(METADATA)}"
    entry = next(one for one in model.metadata_props if one.key == name)
    place = draw.randrange(len(entry.value))
    entry.value = f"{entry.value[:place]}?{entry.value[place + 1 :]}"
    return Place(name, None)


KINDS: Mapping[str, Plant] = MappingProxyType(
    {
        "index": change_tensor(("/merge/index", "/weights/rows"), another_index),
        "coefficient": change_tensor(("/merge/coefficient",), a_step),
        "bit of a weight": change_tensor((".weight", ".lego"), a_bit),
        "bias": change_tensor(("bias",), a_step),
        "pads": change_attribute("pads"),
        "strides": change_attribute("strides"),
        "edge": change_edge,
        "metadata": change_metadata,
    }
)


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
        if kind == "metadata":
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


def campaign(count: int, seed: int) -> Tally:
    """Plant ``count`` changes, kind after kind, each in a fresh copy of the file."""
    examiner = Examiner(converted("grouped"))
    tally = Tally(Counter(), Counter(), Counter())
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        model = examiner.file.copy()
        draw = random.Random(f"{seed} {number}")  # noqa: S311 - it has to repeat itself
        place = KINDS[kind](model, draw)
        found = examiner.differences(kind, model)
        tally.planted[kind] += 1
        tally.caught[kind] += bool(found)
        tally.named[kind] += (place.name, place.layer) in found
        if (place.name, place.layer) not in found:
            print(f"change {number}, {kind} in {place}: found {found}", file=sys.stderr)
    return tally


def main() -> int:
    """Run a campaign and print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="how many changes")
    parser.add_argument("--seed", type=int, default=0, help="draws other changes")
    options = parser.parse_args()
    tally = campaign(options.count, options.seed)
    for kind in KINDS:
        print(f"{kind:16} {tally.planted[kind]:4} planted", end="")
        print(f" {tally.caught[kind]:4} caught {tally.named[kind]:4} named")
    totals = [one.total() for one in (tally.planted, tally.caught, tally.named)]
    print("{:16} {:4} planted {:4} caught {:4} named".format("all", *totals))
    return 0 if tally.all_named else 1


if __name__ == "__main__":
    sys.exit(main())

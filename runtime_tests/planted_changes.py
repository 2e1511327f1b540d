"""Changes to plant in a converted file: an entry of a tensor, an attribute, an edge, metadata."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx
from onnx import numpy_helper

from runtime_tests.parity.networks import LAYER_NAMES

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
    parameters = (name.rpartition("/")[2] for name in names)
    return next((name.rpartition(".")[0] for name in parameters if "." in name), None)


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


def one_more(entries: np.ndarray, draw: random.Random) -> None:
    """Add one to an integer; the largest becomes the smallest."""
    place = draw.randrange(len(entries))
    entries[place : place + 1] += 1


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
INT8_KINDS: Mapping[str, Plant] = MappingProxyType(
    {
        "index": change_tensor(("/weights/merge_position",), another_index),
        "coefficient": change_tensor(("/weights/merge_codes",), one_more),
        "code of a weight": change_tensor((".weight_codes", "lego_codes"), one_more),
        "bias": change_tensor(("bias_codes",), one_more),
        "scale": change_tensor(("_scale",), a_step),
        "zero point": change_tensor(("_zero_point",), one_more),
        "pads": change_attribute("pads"),
        "edge": change_edge,
        "metadata": change_metadata,
    }
)

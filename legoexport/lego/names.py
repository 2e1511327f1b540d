"""How everything that belongs to a Lego layer is named in a file: the one place that says so.

Nodes and initializers of layer ``L`` (its dotted module name) are ``L/weights/...``,
``L/transform/...`` or ``L/merge/...``, and its result is the value ``L/output``. The second call of
a module is a layer of its own, ``L#2``. Profiles, counts and per-layer checks rely on it.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, cast, get_args

Part = Literal["weights", "transform", "merge"]
PARTS: tuple[Part, ...] = get_args(Part)
_OWNED = re.compile(rf"(?P<layer>.*)/(?P<part>{'|'.join(PARTS)})/.")


class Owner(NamedTuple):
    """The layer that a node or an initializer was made for, and the part it plays there."""

    layer: str
    part: Part


def part_name(layer: str, part: Part, name: str) -> str:
    """Name a node or an initializer that plays ``part`` in ``layer``."""
    return f"{layer}/{part}/{name}"


def output_name(layer: str) -> str:
    """Name the value that leaves ``layer``, unless it is an output of the model."""
    return f"{layer}/output"


def table_name(layer: str, table: str) -> str:
    """Name a table of ``layer`` that a pass has written anew, such as its bank ``lego``."""
    return f"{layer}/{table}"


def codes_name(weight: str) -> str:
    """Name the codes that a file holds in the place of ``weight``."""
    return f"{weight}_codes"


def scale_name(weight: str) -> str:
    """Name the scales of the codes of ``weight``."""
    return f"{weight}_scale"


def quantized_name(value: str) -> str:
    """Name the integers that stand for activation ``value``."""
    return f"{value}_quantized"


def dequantized_name(value: str) -> str:
    """Name the numbers that the integers of activation ``value`` stand for."""
    return f"{value}_dequantized"


def zero_point_name(value: str) -> str:
    """Name the zero point of ``value``."""
    return f"{value}_zero_point"


def owner(name: str) -> Owner | None:
    """Return whose node or initializer ``name`` is; None if it belongs to no Lego layer."""
    found = _OWNED.match(name)
    return None if found is None else Owner(found["layer"], cast("Part", found["part"]))


def belongs_to(layer: str, name: str) -> bool:
    """Whether ``name``, as a runtime may have extended it, was made for ``layer``."""
    return name.startswith(f"{layer}/")


def call_name(module: str, call: int) -> str:
    """Name the layer that is call number ``call``, from 1, of ``module``."""
    return module if call == 1 else f"{module}#{call}"


def module_name(layer: str) -> str:
    """Return the module whose call ``layer`` is."""
    return layer.partition("#")[0]

"""``--input-shape``: what a network of the user's takes, where that is not one image."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from legoexport.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from legoexport.models.checkpoint import Checkpoint

Command = Callable[..., Any]
TYPES = ("float32", "bool", "uint8", "int8", "int16", "int32", "int64")
OPTION = "--input-shape"
_KEY = "legoexport.input_shape"
LEGAL = "NAME=SIZE,SIZE[:TYPE[:LOW..HIGH]], such as mask=1,32,32:uint8 or word=16:int64:0..999"
SYNTAX = re.compile(
    r"(?P<name>[^=:]+)=(?P<sizes>\d+(,\d+)*)(:(?P<dtype>\w+))?(:(?P<low>-?\d+)\.\.(?P<high>-?\d+))?"
)


@dataclass(frozen=True)
class InputShape:
    """One input of a network.

    Attributes:
        name: The parameter of ``forward``.
        sizes: Its shape without the batch.
        dtype: One of ``TYPES``.
        ends: The smallest and the largest integer that come.
    """

    name: str
    sizes: tuple[int, ...]
    dtype: str
    ends: tuple[int, int]


def shape_option(command: Command) -> Command:
    """Add ``--input-shape``."""
    return click.option(
        OPTION,
        multiple=True,
        metavar="NAME=SIZE,SIZE[:TYPE[:LOW..HIGH]]",
        expose_value=False,
        callback=_keep,
        help="An input of --model, without its batch, where it takes other than one image;"
        " repeatable. NAME is the parameter of forward.",
    )(command)


def _keep(context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> None:
    context.meta[_KEY] = parse_shapes(values)


def given_shapes() -> tuple[InputShape, ...]:
    """Return what the options of the command under way say; none where it has no such option."""
    context = click.get_current_context(silent=True)
    shapes: tuple[InputShape, ...] = context.meta.get(_KEY, ()) if context else ()
    return shapes


def parse_shapes(texts: Sequence[str]) -> tuple[InputShape, ...]:
    """Return what the options say.

    Raises:
        UsageError: One cannot be read, or two have one name.
    """
    shapes = tuple(map(_parsed, texts))
    names = [one.name for one in shapes]
    if len(set(names)) != len(names):
        raise UsageError(f"{OPTION} names an input twice", received=" ".join(texts))
    return shapes


def _parsed(text: str) -> InputShape:
    found = SYNTAX.fullmatch(text)
    if found is None:
        raise UsageError(OPTION, received=text, legal=LEGAL)
    sizes = tuple(map(int, found["sizes"].split(",")))
    dtype = found["dtype"] or "float32"
    if dtype not in TYPES:
        raise UsageError.unknown(f"type in {OPTION} {text}", dtype, TYPES)
    low, high = int(found["low"] or 0), int(found["high"] or 0)
    if 0 in sizes or low > high:
        raise UsageError(OPTION, received=text, legal="sizes from 1 on, and LOW below HIGH")
    if found["low"] and not dtype.startswith("int"):
        raise UsageError(
            f"{OPTION} {text}: a range is for integers that are indices",
            legal=", ".join(one for one in TYPES if one.startswith("int")),
        )
    if found["low"]:
        _check_ends(text, dtype, low, high)
    return InputShape(found["name"], sizes, dtype, (low, high))


def _check_ends(text: str, dtype: str, low: int, high: int) -> None:
    highest = 2 ** (int(dtype.removeprefix("int")) - 1) - 1
    if not -highest - 1 <= low <= high <= highest:
        legal = f"values of {dtype}, {-highest - 1}..{highest}"
        raise UsageError(f"{OPTION} {text}", received=f"{low}..{high}", legal=legal)


def check_shapes(given: Mapping[str, object], *, as_ort: bool) -> None:
    """Hold ``--input-shape`` against the options that are for one image.

    Raises:
        UsageError: One of them is given too.
    """
    others = [name for name, value in given.items() if value is not None]
    others += ["--out with .ort"] if as_ort else []
    if given_shapes() and others:
        raise UsageError(
            f"{OPTION} is for networks that take other than one image",
            received=", ".join(others),
            next_step="leave one of them out",
        )


def example_of(checkpoint: Checkpoint, batch_size: int) -> Tensor | tuple[Tensor, ...]:
    """Return an example for the network: an image, or what ``--input-shape`` says of each input.

    Raises:
        UsageError: A parameter has no shape, or a shape no parameter; or the batch is too large.
    """
    if not given_shapes():
        return _zeros((batch_size, *checkpoint.input_shape))
    by_name = {one.name: one for one in given_shapes()}
    parameters = inspect.signature(checkpoint.module.forward).parameters
    wanted = [
        name
        for name, one in parameters.items()
        if name in by_name or (one.default is one.empty and one.kind is not one.VAR_KEYWORD)
    ]
    if set(wanted) != set(by_name) or wanted != list(parameters)[: len(wanted)]:
        raise UsageError(
            f"{OPTION} does not name what the network takes",
            received=", ".join(by_name),
            legal=", ".join(parameters),
            next_step=f"give {OPTION} once for each parameter of forward",
        )
    return tuple(_tensor(by_name[name], batch_size) for name in wanted)


def _tensor(one: InputShape, batch_size: int) -> Tensor:
    tensor = _zeros((batch_size, *one.sizes), one.dtype)
    if one.ends != (0, 0):
        tensor.view(-1)[0], tensor.view(-1)[-1] = one.ends
    return tensor


def _zeros(shape: tuple[int, ...], dtype: str = "float32") -> Tensor:
    import torch

    try:
        return torch.zeros(shape, dtype=getattr(torch, dtype))
    except (RuntimeError, TypeError):  # from torch: too many values to number, or to hold
        raise UsageError(
            "an example of this size does not fit into the memory",
            received="x".join(map(str, shape)),
            next_step=f"give a smaller --batch, or smaller sizes in {OPTION}",
        ) from None

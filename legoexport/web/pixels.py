"""Pixels: how the page turns the colours of a picture into what the network was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from legoexport.errors import UsageError

# To [-1, 1], as the demo trains and as is common; the page says that nobody stated it.
ASSUMED = 0.5


@dataclass(frozen=True)
class Pixels:
    """``(colour - mean) / std`` for each channel, where colours are in [0, 1].

    Attributes:
        mean: One number per channel.
        std: One positive number per channel.
        stated: Whether the user gave them; otherwise they are assumed, which the page tells.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    stated: bool


def read_pixels(mean: str | None, std: str | None, channels: int) -> Pixels:
    """Read ``--mean`` and ``--std``.

    Args:
        mean: Numbers with commas between them, one or as many as channels; None to assume 0.5.
        std: Likewise.
        channels: Channels of the network's input.

    Raises:
        UsageError: Only one of them is given, or it is not made of such numbers.
    """
    if mean is None and std is None:
        return Pixels((ASSUMED,) * channels, (ASSUMED,) * channels, stated=False)
    if mean is None or std is None:
        raise UsageError(
            "--mean and --std belong together",
            received="--mean alone" if std is None else "--std alone",
            legal="both, as the network was trained, or neither",
        )
    read = Pixels(_numbers("--mean", mean, channels), _numbers("--std", std, channels), stated=True)
    if min(read.std) <= 0:
        raise UsageError("--std must be positive", received=std)
    return read


def _numbers(option: str, text: str, channels: int) -> tuple[float, ...]:
    legal = "1 number" if channels == 1 else f"1 number, or {channels} with commas between them"
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} is not made of numbers", received=text, legal=legal) from None
    if len(numbers) not in (1, channels) or not all(map(math.isfinite, numbers)):
        raise UsageError(f"{option} does not fit the network", received=text, legal=legal)
    return numbers if len(numbers) == channels else numbers * channels

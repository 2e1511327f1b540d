"""Pixels: how the page turns the colours of a picture into what the network was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization

# To [-1, 1], as the demo trains and as is common; the page says that nobody stated it.
ASSUMED = 0.5


@dataclass(frozen=True)
class Pixels:
    """What the page does to a picture before the network sees it.

    Attributes:
        normalization: The normalization of its colours.
        source: Where that comes from: "flags", "file", or "assumed", which the page says.
    """

    normalization: Normalization
    source: str

    @property
    def stated(self) -> bool:
        """Whether flags or file state it."""
        return self.source != "assumed"


def read_pixels(
    mean: str | None, std: str | None, channels: int, recorded: Normalization | None = None
) -> Pixels:
    """Read ``--mean`` and ``--std``, which override what the file records.

    Args:
        mean: Numbers with commas between them, one or as many as channels; None to leave it to the
            file, or to assume 0.5.
        std: Likewise.
        channels: Channels of the network's input.
        recorded: What the file records, if it does.

    Raises:
        UsageError: Only one of them is given, it does not consist of such numbers, or the file
            records another number of channels.
    """
    if mean is None and std is None:
        return _without_flags(channels, recorded)
    if mean is None or std is None:
        raise UsageError(
            "--mean and --std belong together",
            received="--mean alone" if std is None else "--std alone",
            legal="both, as the network was trained, or neither",
        )
    means, deviations = _numbers("--mean", mean, channels), _numbers("--std", std, channels)
    if min(deviations) <= 0:
        raise UsageError("--std must be positive", received=std)
    return Pixels(Normalization(means, deviations), "flags")


def _without_flags(channels: int, recorded: Normalization | None) -> Pixels:
    if recorded is None:
        return Pixels(Normalization((ASSUMED,) * channels, (ASSUMED,) * channels), "assumed")
    if len(recorded.mean) != channels:
        raise UsageError(
            "the normalization in the model's metadata does not fit its input",
            received=f"{len(recorded.mean)} channels",
            legal=channels,
            next_step="state --mean and --std",
        )
    return Pixels(recorded, "file")


def _numbers(option: str, text: str, channels: int) -> tuple[float, ...]:
    legal = "1 number" if channels == 1 else f"1 number, or {channels} with commas between them"
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} is not made of numbers", received=text, legal=legal) from None
    if len(numbers) not in (1, channels) or not all(map(math.isfinite, numbers)):
        raise UsageError(f"{option} does not fit the network", received=text, legal=legal)
    return numbers if len(numbers) == channels else numbers * channels

"""Normalization: how the colours of a picture became the numbers that a network was trained on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from legoexport.errors import UsageError

LEGAL = "as many finite numbers for std as for mean, one a channel, and std above 0"


@dataclass(frozen=True)
class Normalization:
    """``(colour - mean) / std`` for each channel, where colours are in [0, 1].

    Attributes:
        mean: One number per channel.
        std: One positive number per channel.

    Raises:
        UsageError: They are something else.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (*self.mean, *self.std)))
        if not (finite and self.mean and len(self.mean) == len(self.std) and min(self.std) > 0):
            raise UsageError("normalization", received=f"{self.mean}, {self.std}", legal=LEGAL)

    def to_json(self) -> str:
        """Return it as the metadata of a converted file has it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, source: str) -> Normalization:
        """Read what ``to_json`` wrote.

        Raises:
            UsageError: ``text`` is something else; ``source`` is named in the message.
        """
        try:
            record = json.loads(text)
            return cls(_floats(record["mean"]), _floats(record["std"]))
        except (ValueError, KeyError, TypeError, OverflowError, UsageError) as error:
            raise UsageError(f"{source} is damaged", received=error, legal=LEGAL) from None


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)

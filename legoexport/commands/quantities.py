"""Numbers as options take them: with a unit, such as ``4MB``, or in seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import click

from legoexport.errors import UsageError


class Seconds(click.FloatRange):
    """A time in seconds; click's own range takes ``nan``, which no loop ever reaches."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number.

        Raises:
            click.BadParameter: It is out of its range or not finite.
        """
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number of seconds.", param, ctx)
        return number


SIZE_UNITS = {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9}


def quantity(option: str, text: str, units: Mapping[str, float], legal: str) -> float:
    """Return what ``text`` says, in the unit that counts 1.

    Args:
        option: What the user calls it.
        text: A number and one of ``units``.
        units: What each unit counts; an empty one may be left out.
        legal: What is legal, for the message.

    Raises:
        UsageError: ``text`` is something else, or the number is not finite and above 0.
    """
    number = text.strip().rstrip("".join(units))
    unit = text.strip()[len(number) :].strip()
    try:
        value = float(number) * units[unit]
    except (ValueError, KeyError):
        value = math.nan
    if not 0 < value < math.inf:
        raise UsageError(option, received=text, legal=legal)
    return value

"""Checks of a Lego layer's arguments."""

from __future__ import annotations

import math

from legoexport.errors import UsageError

Size = int | tuple[int, int]


def count_filters(out_channels: int, m: int | None, m_ratio: float | None) -> int:
    """Return the number of Lego filters from a count or a ratio.

    Raises:
        UsageError: Both or neither are given, or the number is not positive.
    """
    if (m is None) == (m_ratio is None):
        raise UsageError("give exactly one of m and m_ratio", received=f"{m=}, {m_ratio=}")
    if m is not None:
        if not is_count(m):
            raise UsageError("m counts Lego filters", received=m, legal="an integer from 1 on")
        return m
    if not (m_ratio is not None and 0 < m_ratio < math.inf):
        raise UsageError(
            "m_ratio is Lego filters per output channel", received=m_ratio, legal="> 0"
        )
    return max(1, int(out_channels * m_ratio))


def check_o(o: int) -> None:
    """Check a number of fragments by itself.

    Raises:
        UsageError: It is not a positive integer.
    """
    if not is_count(o):
        raise UsageError("o counts input fragments", received=o, legal="an integer from 1 on")


def check_fragments(in_channels: int, o: int) -> None:
    """Check that ``o`` fragments make up the input channels.

    Raises:
        UsageError: They do not. The published code would drop the remaining channels.
    """
    check_o(o)
    if in_channels % o:
        raise UsageError(
            "o must divide the input channels",
            received=f"o={o}, in_channels={in_channels}",
            legal=[divisor for divisor in range(1, in_channels + 1) if in_channels % divisor == 0],
        )


def is_count(value: object) -> bool:
    """Whether ``value`` is an integer from 1 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def as_pair(size: Size) -> tuple[int, int]:
    """Return ``(vertical, horizontal)``, from one number for both or from a pair."""
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))

"""The limits of ``legoexport sweep --recommend``: a size, a latency, an accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from legoexport.commands.quantities import SIZE_UNITS, quantity
from legoexport.errors import UsageError
from legoexport.host.report import print_json, print_text
from legoexport.sweep.choice import Limits, describe, read_networks, recommend

LATENCY_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
ACCURACY_UNITS = {"": 0.01, "%": 0.01}


def parse_limits(size: str | None, latency: str | None, accuracy: str | None) -> Limits:
    """Return the limits that the texts give.

    Args:
        size: Such as ``4MB``.
        latency: Such as ``5ms``.
        accuracy: In percent, such as ``90`` or ``90%``.

    Raises:
        UsageError: A text is not a number above 0 with its unit, or more than 100 percent.
    """
    size_bytes = _quantity("--max-size", size, SIZE_UNITS, "4MB")
    share = _quantity("--min-accuracy", accuracy, ACCURACY_UNITS, "90 (percent)")
    if share is not None and share > 1:
        legal = "percent, above 0 and at most 100"
        raise UsageError("sweep: --min-accuracy", received=accuracy, legal=legal)
    return Limits(
        None if size_bytes is None else math.floor(size_bytes),
        _quantity("--max-latency", latency, LATENCY_UNITS, "5ms"),
        share,
    )


def tell_recommendation(folder: Path, limits: Limits, *, as_json: bool) -> None:
    """Print the network to ship, or the one that comes closest.

    Raises:
        UsageError: The folder holds no finished sweep.
    """
    chosen = recommend(read_networks(folder), limits)
    if as_json:
        print_json({**asdict(chosen), "keeps_limits": not chosen.misses})
        return
    if not chosen.misses:
        print_text(describe(chosen.network))
        return
    far = ", ".join(f"{name} by {share:.1%} of its limit" for name, share in chosen.misses.items())
    print_text(f"no network keeps the limits; closest is {describe(chosen.network)}")
    print_text(f"it misses {far}")


def _quantity(
    name: str, text: str | None, units: Mapping[str, float], example: str
) -> float | None:
    if text is None:
        return None
    named = ", ".join(filter(None, units))
    legal = f"a number above 0 with {named}, such as {example}"
    return quantity(f"sweep: {name}", text, units, legal)

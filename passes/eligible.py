"""The lowerings that a target lets a layer have: those it names, and what it says of the rest.

A target stands below the registry and cannot list it, so that a new lowering needs no line there.
"""

from __future__ import annotations

from legoexport.passes.lowerings import LOWERINGS
from legoexport.target import Target


def automatic(target: Target) -> tuple[str, ...]:
    """Return the lowerings that a layer may get by itself, the preferred one first."""
    if target.rest != "automatic":
        return target.lowerings
    named = {*target.lowerings, *target.on_request}
    return target.lowerings + tuple(name for name in LOWERINGS if name not in named)


def eligible(target: Target) -> tuple[str, ...]:
    """Return all lowerings that a plan may name; those that a layer may get by itself first."""
    first = automatic(target)
    others = target.on_request if target.rest != "on request" else tuple(LOWERINGS)
    return first + tuple(name for name in others if name not in first)

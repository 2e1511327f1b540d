"""Where nodes ran, for people: a table, and a sentence about the convolutions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from legoexport.ort.providers import short_name
from legoexport.runtimes.base import PlacedNode

PLACEMENT_COLUMNS = ("provider", "operator", "nodes")
SHOWN_COUNT = 4


def placement_rows(placement: Sequence[PlacedNode]) -> list[tuple[str, str, int]]:
    """One row for each operator on each execution provider."""
    counts = Counter((short_name(node.provider), node.op) for node in placement)
    return [(*key, count) for key, count in sorted(counts.items())]


def convolutions_line(placement: Sequence[PlacedNode]) -> str:
    """Say which provider ran the convolutions; where several did, name those of the minority."""
    convolutions = [node for node in placement if "Conv" in node.op]
    by_provider = Counter(short_name(node.provider) for node in convolutions).most_common()
    if not by_provider:
        return "no convolutions"
    if len(by_provider) == 1:
        (provider, count), *_ = by_provider
        return f"all {count} convolutions ran on {provider}"
    parts = [
        f"{count} on {provider}{_names(convolutions, provider, by_provider)}"
        for provider, count in by_provider
    ]
    return f"of {len(convolutions)} convolutions ran {', '.join(parts)}"


def _names(
    convolutions: Sequence[PlacedNode], provider: str, by_provider: Sequence[tuple[str, int]]
) -> str:
    if provider == by_provider[0][0]:
        return ""
    names = [node.name for node in convolutions if short_name(node.provider) == provider]
    shown = [*names[:SHOWN_COUNT], *(["..."] if len(names) > SHOWN_COUNT else [])]
    return f" ({', '.join(shown)})"

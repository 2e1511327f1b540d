"""Difference: one respect in which a file is not what its checkpoint gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

Kind = Literal["tensor", "node", "graph", "metadata"]
Item = TypeVar("Item")
ABSENT = "nothing"
MAX_TEXT_LENGTH = 80
LEAD_LENGTH = 20


@dataclass(frozen=True)
class Difference:
    """One respect in which a file is not as it should be.

    Attributes:
        kind: What differs.
        where: Name of the tensor, node, value or entry, and which part of it.
        layer: Dotted name of the layer that it belongs to, or None if it belongs to none.
        expected: What it should be, shortened.
        received: What the file has, shortened.
    """

    kind: Kind
    where: str
    layer: str | None
    expected: str
    received: str

    def __str__(self) -> str:
        layer = f" of layer {self.layer}" if self.layer else ""
        return f"{self.kind} {self.where}{layer}: {self.received} instead of {self.expected}"

    def to_json(self) -> dict[str, str | None]:
        """Return every field."""
        return asdict(self)


def shortened(value: object) -> str:
    """Return ``value`` as text of bounded length, on one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[: MAX_TEXT_LENGTH - 3]}..."


def around(expected: str | None, received: str | None) -> tuple[str, str]:
    """Show two texts, shortened, from a little before they part."""
    sides = expected or "", received or ""
    parted = (i for i, pair in enumerate(zip(*sides, strict=False)) if pair[0] != pair[1])
    shared = next(parted, min(map(len, sides)))
    start = max(0, shared - LEAD_LENGTH)
    lead = "..." if start else ""
    texts = [shortened(lead + side[start:]) if side else ABSENT for side in sides]
    return texts[0], texts[1]


def keyed(items: Iterable[tuple[str, Item]]) -> dict[str, Item]:
    """Return ``items`` by name; the second of one name is ``name (2)``, so that none is lost."""
    found: dict[str, Item] = {}
    seen: Counter[str] = Counter()
    for name, item in items:
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name} ({seen[name]})"] = item
    return found


def paired(
    expected: Mapping[str, Item], received: Mapping[str, Item]
) -> Iterator[tuple[str, Item | None, Item | None]]:
    """Yield each name with what both sides have of it, in the order of ``expected``."""
    for name in dict.fromkeys((*expected, *received)):
        yield name, expected.get(name), received.get(name)

"""Which network of a sweep to ship: those that no other beats, and the best within limits."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from legoexport.errors import UsageError
from legoexport.host.reading import read_bytes
from legoexport.host.report import format_bytes


class Candidate(Protocol):
    """What a network is chosen by, such as a row of the table."""

    @property
    def accuracy(self) -> float:
        """Share of held-out pictures that are classified correctly."""

    @property
    def latency_ms(self) -> float:
        """Median latency of one image."""

    @property
    def size_bytes(self) -> int:
        """Size of the file."""


@dataclass(frozen=True)
class Network:
    """A network of a finished sweep.

    Attributes:
        name: Its name in the table.
        accuracy: Share of held-out pictures that are classified correctly.
        latency_ms: Median latency of one image.
        size_bytes: Size of the ONNX file.
    """

    name: str
    accuracy: float
    latency_ms: float
    size_bytes: int


@dataclass(frozen=True)
class Limits:
    """What a network must keep to; None where there is no limit.

    Attributes:
        max_size_bytes: Largest file.
        max_latency_ms: Longest median latency of one image.
        min_accuracy: Least share of held-out pictures that are classified correctly.
    """

    max_size_bytes: int | None = None
    max_latency_ms: float | None = None
    min_accuracy: float | None = None

    def misses(self, network: Candidate) -> dict[str, float]:
        """Return how far each limit is missed, as a share of the limit; kept ones are left out."""
        excess = {
            "size": _excess(network.size_bytes, self.max_size_bytes),
            "latency": _excess(network.latency_ms, self.max_latency_ms),
            "accuracy": -_excess(network.accuracy, self.min_accuracy),
        }
        return {name: share for name, share in excess.items() if share > 0}


@dataclass(frozen=True)
class Recommendation:
    """One network.

    Attributes:
        network: The most accurate that keeps the limits, or the one that comes closest.
        misses: The limits that it misses, each with how far, as a share of the limit.
    """

    network: Network
    misses: dict[str, float]


def is_unbeaten(one: Candidate, all_of_them: Sequence[Candidate]) -> bool:
    """Return whether no other beats it.

    One beats another that is at least as good in accuracy, latency and size, and better in one.
    """
    own = _merits(one)
    return not any(
        _merits(other) != own
        and all(theirs >= ours for theirs, ours in zip(_merits(other), own, strict=True))
        for other in all_of_them
    )


def recommend(networks: Sequence[Network], limits: Limits) -> Recommendation:
    """Return the most accurate network that keeps the limits, or the one that comes closest.

    Closest is the one whose farthest miss is the smallest share of its limit. Of equal networks
    the faster is taken, then the smaller.
    """

    def order(network: Network) -> tuple[float, ...]:
        farthest = max(limits.misses(network).values(), default=0.0)
        return (farthest, *(-merit for merit in _merits(network)))

    best = min(networks, key=order)
    return Recommendation(best, limits.misses(best))


def read_networks(folder: Path) -> tuple[Network, ...]:
    """Return the networks of a finished sweep, from the table in its folder.

    Raises:
        UsageError: The folder holds no table, or another one.
    """
    path = folder / "table.csv"
    if not path.is_file():
        raise UsageError(
            f"{folder} holds no finished sweep",
            received=f"no file {path.name}",
            next_step="run the sweep without --train-only first, or give another --out",
        )
    try:
        lines = read_bytes(path).decode().splitlines()
        networks = tuple(_network(record) for record in csv.DictReader(lines))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None
    if not networks:
        raise _damaged(path, "no networks")
    return networks


def describe(network: Network) -> str:
    """Return a network in one line."""
    return (
        f"{network.name}: {network.accuracy:.2%}, {network.latency_ms:.3f} ms,"
        f" {format_bytes(network.size_bytes)}"
    )


def _network(record: dict[str, str]) -> Network:
    accuracy, latency_ms = float(record["accuracy"]), float(record["latency_ms"])
    if not (math.isfinite(accuracy) and math.isfinite(latency_ms)):
        raise ValueError(f"{record['design']}: {accuracy} and {latency_ms} ms are not finite")
    return Network(record["design"], accuracy, latency_ms, int(record["size_bytes"]))


def _merits(network: Candidate) -> tuple[float, float, float]:
    """Return what is better the larger it is."""
    return network.accuracy, -network.latency_ms, -network.size_bytes


def _excess(value: float, limit: float | None) -> float:
    return 0.0 if limit is None else value / limit - 1


def _damaged(path: Path, received: object) -> UsageError:
    return UsageError(
        f"{path} is not as the sweep wrote it",
        received=received,
        next_step="run the sweep again; it only repeats the last step",
    )

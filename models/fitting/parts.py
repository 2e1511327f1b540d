"""Pictures in parts that a network runs on one after another, so that any number of them fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from legoexport.errors import UsageError


class Pictures(Protocol):
    """Prepared pictures ``(N, c, h, w)``, at hand part by part; a tensor is such."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, c, h, w)``."""

    def tensor_split(self, sections: int, /) -> Iterable[Tensor]:
        """Return parts whose sizes differ by one at most."""


@dataclass(frozen=True)
class Parts:
    """Pictures divided.

    Attributes:
        pictures: All of them.
        count: Number of parts.
    """

    pictures: Pictures
    count: int

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.pictures.tensor_split(self.count))

    @property
    def first(self) -> Tensor:
        """The part that is run on first."""
        return next(iter(self))

    @property
    def others(self) -> Iterator[Tensor]:
        """All parts but the first."""
        return islice(self, 1, None)


class Forerunner:
    """Runs a network up to the input of one of its modules.

    A hook of every such module calls ``passes`` before it does anything else.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self._goal: nn.Module | None = None
        self._calls_left = 0

    def input(self, module: nn.Module, call: int, images: Tensor) -> Tensor:
        """Return what ``module`` reads in its ``call``-th call.

        Raises:
            UsageError: The network does not call it so often for these pictures.
        """
        self._goal, self._calls_left = module, call
        try:
            self.network(images)
        except _Reached as reached:
            return reached.maps
        finally:
            self._goal = None
        raise UsageError(
            "the network calls a layer for some pictures only",
            received=type(module).__name__,
            legal="a network that does the same for all pictures",
        )

    def passes(self, module: nn.Module, maps: Tensor) -> bool:
        """Return whether such a run is under way; end it if it has come to its goal."""
        if self._goal is module:
            self._calls_left -= 1
            if not self._calls_left:
                raise _Reached(maps)
        return self._goal is not None


class _Reached(Exception):  # noqa: N818 - no error: the run came where it was to come
    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps


def statistics(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return mean and variance ``(c,)`` of all maps together, however many parts there are.

    Two parts of k and l values, with means a and b and sums of squared deviations s and t, have
    together ``s + t + (a - b)^2 k l / (k + l)`` (Chan, Golub and LeVeque, 1979).

    Args:
        parts: ``(N, c, h, w)`` each, at least one.
    """
    parts = iter(parts)
    first = next(parts)
    count, (variance, mean) = _values_count(first), torch.var_mean(first, dim=(0, 2, 3))
    for part in parts:
        more, (spread, centre) = _values_count(part), torch.var_mean(part, dim=(0, 2, 3))
        shift, total = centre - mean, count + more
        squares = variance * (count - 1) + spread * (more - 1)
        squares += shift.square() * (count * more / total)
        mean, variance, count = mean + shift * (more / total), squares / (total - 1), total
    return mean, variance


def _values_count(maps: Tensor) -> int:
    return maps.numel() // maps.shape[1]

"""Recording: what passes through a network, kept value by value until the ranges are settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.quantize.calibrators import Accumulator, Method, find_accumulator
from legoexport.quantize.observe import Observed
from legoexport.quantize.ranges import Ranges


class Recording:
    """Accumulators for every activation of a network, and the largest of every map.

    Args:
        observed: The network whose values are recorded.
        method: How the range of an activation is chosen; that of a map is its largest magnitude.
    """

    def __init__(self, observed: Observed, method: Method) -> None:
        make = find_accumulator(method)
        self._observed, self._method = observed, method
        self._activations: dict[str, Accumulator] = {name: make() for name in observed.activations}
        self._maps: dict[str, NDArray[np.float32]] = {}

    def add(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Take in the values of one run, by name.

        Raises:
            UsageError: A value holds NaN or infinity.
        """
        for name, accumulator in self._activations.items():
            _require_finite(name, values[name])
            accumulator.add(values[name])
        for layer, name in self._observed.maps.items():
            self._raise_maps(layer, _largest_by_channel(values[name]))

    def merged(self, other: Recording) -> Recording:
        """Return what would have been recorded of both."""
        both = Recording(self._observed, self._method)
        for name, one in self._activations.items():
            both._activations[name] = one.merged(other._activations[name])
        for recording in (self, other):
            for layer, largest in recording._maps.items():
                both._raise_maps(layer, largest)
        return both

    def ranges(self) -> Ranges:
        """Settle every range.

        Raises:
            UsageError: Nothing has been recorded.
        """
        settled = {name: one.settle() for name, one in self._activations.items()}
        return Ranges(
            {name: (one.low, one.high) for name, one in settled.items()},
            self._maps,
            {name: one.clipped for name, one in settled.items()},
        )

    def _raise_maps(self, layer: str, largest: NDArray[np.float32]) -> None:
        self._maps[layer] = np.maximum(self._maps.get(layer, largest), largest)


def _largest_by_channel(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """``max |maps|`` of ``(b, pairs, h, w)`` for each pair."""
    largest: NDArray[np.float32] = np.maximum(maps.max(axis=(0, 2, 3)), -maps.min(axis=(0, 2, 3)))
    return largest


def _require_finite(name: str, values: NDArray[Any]) -> None:
    ends = (values.min(), values.max())
    if not np.isfinite(ends).all():
        raise UsageError(
            f"value {name} becomes infinite, or no number, on the calibration images",
            received=f"{ends[0]}..{ends[1]}",
            next_step="look for NaN in the images and in the checkpoint",
        )

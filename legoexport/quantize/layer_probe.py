"""One layer by itself, run four ways on what enters it in the trained network.

float        trained weights                   values as they are
weights      the weights of the file           values as they are
activations  trained weights                   values rounded to the integers of the file
both         the layer of the file as it stands, maps inside it included
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from legoexport.ort.subgraph import cut_layer
from legoexport.quantize.float_network import FloatNetwork, LayerPlace
from legoexport.quantize.integer_file import (
    Activation,
    IntegerFile,
    Numbers,
    runnable,
)

Totals = NDArray[np.float64]


class LayerProbe:
    """A layer cut out of the trained network and out of the file.

    Args:
        place: Where it stands.
        network: The trained network.
        file: The file.
        shape: Of what enters, the batch first.
    """

    def __init__(
        self, place: LayerPlace, network: FloatNetwork, file: IntegerFile, shape: tuple[int, ...]
    ) -> None:
        self.place = place
        self.x, self.y = file.activation(place.x), file.activation(place.y)
        part = cut_layer(network.model, place.x, place.sums, ("batch", *shape[1:]))
        self._trained = runnable(part, file.threads)
        # What rounds the sums may have renamed them; what rounds a clamp behind them has not.
        sums = self.y.made if self.y and place.limit is None else place.sums
        start = self.x.integers if self.x else place.x
        self._rounded_weights = file.cut_unrounded(start, sums, shape)
        end = self.y.integers if self.y else sums
        self._as_it_stands = file.cut(
            start, end, shape, self.x.affine.dtype if self.x else "float32"
        )

    def measure(self, values: Mapping[str, Numbers]) -> Totals:
        """Return the power of what leaves, and of what int8 adds to it, in all.

        Args:
            values: Those of the trained network, by name.

        Returns:
            ``(6,)``: the sum of squares of what leaves in float; of the change by weights alone, by
            activations alone, and by both; how many numbers are clipped, and how many there are.
        """
        x, y = values[self.place.x], values[self.place.y].astype(np.float64)
        changed = (self._by_weights(x), self._by_activations(x), self._by_both(x))
        changes = [np.square(one.astype(np.float64) - y).sum() for one in changed]
        clipped = self.y.is_clipped(y).sum() if self.y else 0
        return np.array([np.square(y).sum(), *changes, clipped, y.size], np.float64)

    def _by_weights(self, x: Numbers) -> Numbers:
        return self.place.clamped(self._rounded_weights(x))

    def _by_activations(self, x: Numbers) -> Numbers:
        sums = self._trained(_rounded(self.x, x))
        return _rounded(self.y, self.place.clamped(sums))

    def _by_both(self, x: Numbers) -> Numbers:
        made = self._as_it_stands(self.x.encoded(x) if self.x else x)
        return self.y.decoded(made) if self.y else self.place.clamped(made)


def _rounded(activation: Activation | None, numbers: Numbers) -> Numbers:
    return activation.rounded(numbers) if activation else numbers

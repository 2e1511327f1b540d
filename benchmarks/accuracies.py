"""Accuracy of trained networks in each precision. Nothing here trains, so the counts are recorded.

``docs/quantization.md`` has the commands: the digits are those of ``make demo``, CIFAR-10 is the
LegoNet that learnt from its dense network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.labels import DENSE_FP32, DENSE_INT8, LEGO_FP32, LEGO_INT8, LEGO_STORED
from benchmarks.networks import DIGITS, NETWORKS

PERCENT = 100


@dataclass(frozen=True)
class Accuracy:
    """What a trained network has right in each precision.

    Attributes:
        data: Where the images come from.
        images_count: Held-out images.
        right_counts: How many a file has right, by its label; the dense one in fp32 is the same
            function as the LegoNet, and has no entry of its own.
    """

    data: str
    images_count: int
    right_counts: Mapping[str, int]

    def percent(self, label: str) -> float | None:
        """Return the share that a file has right; None if it was not counted."""
        count = self.right_counts.get(LEGO_FP32 if label == DENSE_FP32 else label)
        return None if count is None else PERCENT * count / self.images_count


# By the title of the network that is raced; latency does not depend on its weights.
ACCURACIES = {
    NETWORKS["vgg16-32"].title: Accuracy(
        "CIFAR-10", 10_000, {LEGO_FP32: 8902, LEGO_INT8: 8895, DENSE_INT8: 8897}
    ),
    DIGITS.title: Accuracy(
        "digits", 360, {LEGO_FP32: 359, LEGO_STORED: 359, LEGO_INT8: 359, DENSE_INT8: 359}
    ),
}

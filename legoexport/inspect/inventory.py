"""Inventory: the Lego layers of a network with their counts, and totals beside the dense twin.

The dense twin is the same network with an ordinary convolution in place of every Lego layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from legoexport.lego.counts import FLOAT_BYTES, LegoCounts, LegoShape, count
from legoexport.lego.names import module_name


@dataclass(frozen=True)
class LayerRow:
    """One Lego layer.

    Attributes:
        layer: Dotted module name; ``name#2`` is a second call of the layer ``name``.
        shape: Its sizes.
        ties_count: Mask entries whose largest logit is shared; None once converted.
        lowering: Name of the lowering that computes it; None before conversion.
        partition: Execution provider that ONNX Runtime gives its nodes to; None before conversion.
    """

    layer: str
    shape: LegoShape
    ties_count: int | None = None
    lowering: str | None = None
    partition: str | None = None

    @property
    def counts(self) -> LegoCounts:
        """What the layer stores and multiplies."""
        return count(self.shape)

    @property
    def repeats(self) -> bool:
        """Whether the parameters are those of a layer listed before."""
        return module_name(self.layer) != self.layer


@dataclass(frozen=True)
class DensePart:
    """Everything outside the Lego layers.

    Attributes:
        weights: Number of parameters: weights, biases, gain and shift of batch norms.
        macs: Multiply-adds of its convolutions and linear layers for one image.
    """

    weights: int
    macs: int


@dataclass(frozen=True)
class StoredBytes:
    """Where the bytes of a converted file go.

    Attributes:
        bank_bytes: Lego filters, each bank once.
        table_bytes: Indices (int32), coefficients and biases (float32) of the Lego layers.
        dense_bytes: Weights of everything else.
        graph_bytes: Nodes, names and metadata; 0 where there is no file yet.
    """

    bank_bytes: int
    table_bytes: int
    dense_bytes: int
    graph_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """The whole file."""
        return self.bank_bytes + self.table_bytes + self.dense_bytes + self.graph_bytes


@dataclass(frozen=True)
class Totals:
    """Sums over a whole network, multiply-adds for one image.

    Attributes:
        weights: Banks, biases and the dense part: the convention of the paper's VGG16 table.
        weights_coefficients: The same with one coefficient per table entry.
        weights_coefficients_indices: The same with one index per table entry: the convention of
            the paper's ResNet-50 and MobileNet tables.
        transform_macs: All intermediate maps and the dense part; like the paper, no merge.
        transform_merge_macs: The same and the merge.
        counted_macs: Maps that some output uses, the merge, and the dense part.
        stored: Bytes of the file.
    """

    weights: int
    weights_coefficients: int
    weights_coefficients_indices: int
    transform_macs: int
    transform_merge_macs: int
    counted_macs: int
    stored: StoredBytes


@dataclass(frozen=True)
class Inventory:
    """A network's Lego layers and what surrounds them.

    Attributes:
        rows: The Lego layers, in the order in which they run.
        dense_part: Everything else.
        stored: Bytes of the file, or what a file would hold before there is one.
    """

    rows: tuple[LayerRow, ...]
    dense_part: DensePart
    stored: StoredBytes

    @property
    def totals(self) -> Totals:
        """Sums over the network as it is."""
        weights = self.dense_part.weights + self._once(lambda c: c.bank_weights + c.bias_entries)
        coefficients = self._once(lambda c: c.coefficient_entries)
        merge_macs = self._every(lambda c: c.merge_macs)
        transform_macs = self.dense_part.macs + self._every(lambda c: c.transform_macs)
        used_macs = self._every(lambda c: c.used_transform_macs)
        return Totals(
            weights=weights,
            weights_coefficients=weights + coefficients,
            weights_coefficients_indices=weights
            + coefficients
            + self._once(lambda c: c.index_entries),
            transform_macs=transform_macs,
            transform_merge_macs=transform_macs + merge_macs,
            counted_macs=self.dense_part.macs + used_macs + merge_macs,
            stored=self.stored,
        )

    @property
    def dense_twin(self) -> Totals:
        """Sums over the dense twin, which has no tables and nothing to merge."""
        weights = self.dense_part.weights + self._once(lambda c: c.dense_weights + c.bias_entries)
        macs = self.dense_part.macs + self._every(lambda c: c.dense_macs)
        stored = StoredBytes(bank_bytes=0, table_bytes=0, dense_bytes=weights * FLOAT_BYTES)
        return Totals(weights, weights, weights, macs, macs, macs, stored)

    def _once(self, quantity: Callable[[LegoCounts], int]) -> int:
        return sum(quantity(row.counts) for row in self.rows if not row.repeats)

    def _every(self, quantity: Callable[[LegoCounts], int]) -> int:
        return sum(quantity(row.counts) for row in self.rows)

"""Counts of one Lego layer: what it stores and multiplies, beside the dense layer it replaces.

The ratios of the paper's Eq. 1 and 2 count the bank alone and the transform alone. "As counted"
adds what they leave out: the tables to the bytes, the merge to the multiply-adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from legoexport.lego.geometry import conv_output_size

FLOAT_BYTES = 4
INDEX_BYTES = 4


@dataclass(frozen=True)
class LegoShape:
    """The sizes of one Lego layer, all that its counts depend on.

    Attributes:
        o: Fragments of the input channels.
        m: Lego filters in the bank, as trained.
        n: Output channels.
        c: Input channels.
        kernel: ``(kh, kw)``.
        stride: ``(vertical, horizontal)`` in pixels.
        padding: Zeros added on ``(each vertical side, each horizontal side)`` in pixels.
        dilation: ``(vertical, horizontal)`` in pixels.
        input_size: ``(height, width)`` of the map that enters, in pixels.
        filters_used: Lego filters that some output uses, at most m.
        pairs_used: (fragment, filter) pairs that some output uses, at most o * m.
        has_coefficients: Whether a coefficient is stored for every entry of the index table.
        has_bias: Whether the layer adds a bias.
    """

    o: int
    m: int
    n: int
    c: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    input_size: tuple[int, int]
    filters_used: int
    pairs_used: int
    has_coefficients: bool = True
    has_bias: bool = True

    @property
    def filter_weights(self) -> int:
        """Weights of one Lego filter, c/o * kh * kw."""
        return self.c // self.o * prod(self.kernel)

    @property
    def output_size(self) -> tuple[int, int]:
        """``(height, width)`` of the map that leaves, in pixels."""
        return conv_output_size(
            self.input_size,
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )


@dataclass(frozen=True)
class LegoCounts:
    """What one Lego layer stores, and what it multiplies for one image.

    Attributes:
        bank_weights: Weights of the bank, m * c/o * kh * kw.
        coefficient_entries: o * n, or 0 where the coefficients are off.
        index_entries: o * n.
        index_ideal_bits: Bits of the index table at ceil(log2 m) an entry, the least it can take.
        bias_entries: n, or 0 without a bias.
        dense_weights: Weights of the dense convolution, n * c * kh * kw.
        stored_bytes: Filters in use, coefficients (float32) and indices (int32).
        dense_bytes: The weights of the dense convolution (float32).
        transform_macs: Multiply-adds of all o * m intermediate maps, as the paper counts them.
        used_transform_macs: Multiply-adds of the intermediate maps that some output uses.
        merge_macs: Multiply-adds of the weighted sum, o * n a pixel.
        dense_macs: Multiply-adds of the dense convolution.
    """

    bank_weights: int
    coefficient_entries: int
    index_entries: int
    index_ideal_bits: int
    bias_entries: int
    dense_weights: int
    stored_bytes: int
    dense_bytes: int
    transform_macs: int
    used_transform_macs: int
    merge_macs: int
    dense_macs: int

    @property
    def parameters(self) -> int:
        """Weights of the bank, coefficients and bias."""
        return self.bank_weights + self.coefficient_entries + self.bias_entries

    @property
    def paper_compression_ratio(self) -> float:
        """Dense weights over weights of the bank, n * o / m (LegoNet, Eq. 1)."""
        return self.dense_weights / self.bank_weights

    @property
    def counted_compression_ratio(self) -> float:
        """Dense bytes over stored bytes, tables included."""
        return self.dense_bytes / self.stored_bytes

    @property
    def paper_speedup_ratio(self) -> float:
        """Dense multiply-adds over those of the transform, n / m (LegoNet, Eq. 2)."""
        return self.dense_macs / self.transform_macs

    @property
    def counted_speedup_ratio(self) -> float:
        """Dense multiply-adds over those of the maps in use and of the merge."""
        return self.dense_macs / (self.used_transform_macs + self.merge_macs)


def count(shape: LegoShape) -> LegoCounts:
    """Count one layer."""
    entries = shape.o * shape.n
    coefficients = entries if shape.has_coefficients else 0
    pixels = prod(shape.output_size)
    filter_macs = shape.filter_weights * pixels
    dense_weights = shape.n * shape.c * prod(shape.kernel)
    stored_floats = shape.filters_used * shape.filter_weights + coefficients
    return LegoCounts(
        bank_weights=shape.m * shape.filter_weights,
        coefficient_entries=coefficients,
        index_entries=entries,
        index_ideal_bits=entries * (shape.m - 1).bit_length(),
        bias_entries=shape.n if shape.has_bias else 0,
        dense_weights=dense_weights,
        stored_bytes=stored_floats * FLOAT_BYTES + entries * INDEX_BYTES,
        dense_bytes=dense_weights * FLOAT_BYTES,
        transform_macs=shape.o * shape.m * filter_macs,
        used_transform_macs=shape.pairs_used * filter_macs,
        merge_macs=entries * pixels,
        dense_macs=dense_weights * pixels,
    )

"""Check one Lego layer against its dense form, on activations and entry by entry of its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from legoexport.ort.session import RuntimeModel
from legoexport.ort.subgraph import cut_layer
from legoexport.parity.agreement import finite_or_none
from legoexport.parity.dense_form import DenseForm
from legoexport.parity.expectation import ExpectedLayer
from legoexport.parity.records import growth_of
from legoexport.parity.rounding import relative_tolerance

SEED = 2019
# Lifts every product above the bias, whose rounding would hide a small coefficient.
PROBE_SCALE = 2.0**20
SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class LayerAgreement:
    """How well one layer of the file computes what it should.

    Attributes:
        layer: Dotted module name.
        lowering: Name of its lowering.
        relative_error: Largest error, relative to the largest expected output of the same run.
        limit_ratio: Largest error over tolerance; above 1 fails.
        worst_channel: Output channel with that ratio.
    """

    layer: str
    lowering: str
    relative_error: float
    limit_ratio: float
    worst_channel: int

    @property
    def passed(self) -> bool:
        """Whether every output is within tolerance."""
        return self.limit_ratio <= 1

    def to_json(self) -> dict[str, Any]:
        """Return every field and the verdict as JSON values; infinite ones become None."""
        return finite_or_none(asdict(self) | {"passed": self.passed})


def check_activations(
    expected: ExpectedLayer, x: NDArray[np.float32], y: NDArray[np.float32]
) -> LayerAgreement:
    """Judge output ``y`` of the layer against the exact output for its own input ``x``.

    An error upstream is in ``x`` as well, so it is never blamed on this layer.
    """
    form = expected.form
    return _compare(expected, *_convolve(form, x, slice(0, form.weight.shape[1])), y)


def check_tables(
    expected: ExpectedLayer, model: onnx.ModelProto, batch_size: int | None, threads: int
) -> LayerAgreement:
    """Feed the layer alone, first with zeros and then with one fragment at a time.

    This shows every bias, index and coefficient by itself, however small, even if the activations
    upstream happen to be zero or no layer downstream reads the channel.

    Args:
        expected: What the layer should compute.
        model: The model that holds it.
        batch_size: The batch of the model, or None if it is open.
        threads: Threads of ONNX Runtime.

    Raises:
        UsageError: The nodes between the layer's input and output do not form a model.
    """
    record, shape = expected.record, expected.emitted.input_shape
    cut = cut_layer(model, record.input, record.output, (batch_size or "batch", *shape))
    layer = RuntimeModel(cut.SerializeToString(), threads)
    return worst(
        [
            _compare(expected, *_convolve(expected.form, x, channels), layer.run(x, len(x)))
            for x, channels in _probes(expected.form.o, (batch_size or 1, *shape))
        ]
    )


def _probes(o: int, shape: tuple[int, ...]) -> Iterator[tuple[NDArray[np.float32], slice]]:
    """Yield inputs and the channels to which all that is not zero is confined."""
    zeros = np.zeros(shape, np.float32)
    yield zeros, slice(0, 1)
    noise = np.random.default_rng(SEED).standard_normal(shape).astype(np.float32)
    step = shape[1] // o
    for start in range(0, shape[1], step):
        channels = slice(start, start + step)
        x = zeros.copy()
        x[:, channels] = PROBE_SCALE * noise[:, channels]
        yield x, channels


def worst(results: Sequence[LayerAgreement]) -> LayerAgreement:
    """Return the result that is furthest out of tolerance."""
    return max(results, key=lambda result: result.limit_ratio)


def _convolve(
    form: DenseForm, x: NDArray[np.float32], channels: slice
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the exact output for ``x``, and the sum of absolute products behind every entry."""
    weight, bias = torch.from_numpy(form.weight[:, channels]), torch.from_numpy(form.bias)
    used = torch.from_numpy(x[:, channels].astype(np.float64))
    geometry = (form.stride, form.padding, form.dilation)
    exact = F.conv2d(used, weight, bias, *geometry)
    magnitude = F.conv2d(used.abs(), weight.abs(), bias.abs(), *geometry)
    return exact.numpy(), magnitude.numpy()


def _compare(
    expected: ExpectedLayer,
    exact: NDArray[np.float64],
    magnitude: NDArray[np.float64],
    actual: NDArray[np.float32],
) -> LayerAgreement:
    record = expected.record
    products_count = int(np.prod(expected.form.weight.shape[1:]))
    share = relative_tolerance(products_count, growth_of(record))
    # A lowering may transform neighbouring pixels together, so pixels share their tolerance.
    tolerance = share * magnitude.max(axis=(2, 3)) + SMALLEST_NORMAL
    error = np.nan_to_num(np.abs(actual - exact), nan=np.inf).max(axis=(2, 3))
    ratio = (error / tolerance).max(axis=0)
    return LayerAgreement(
        layer=record.layer,
        lowering=record.lowering,
        relative_error=float(error.max()) / (float(np.abs(exact).max()) or 1.0),
        limit_ratio=float(ratio.max()),
        worst_channel=int(ratio.argmax()),
    )

"""The ends of a file in int8, where it takes pixels or gives classes: cut off, or checked.

Between them it computes as any other does. What stands behind its scores is in float and follows
from them alone, so it is checked from the scores that one run really gave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from legoexport.lego.file_facts import read_facts
from legoexport.lego.names import dequantized_name, quantized_name
from legoexport.lego.normalization import Normalization
from legoexport.lego.resampling import Resize
from legoexport.ort.subgraph import cut_layer
from legoexport.parity.integer.arithmetic import Accepted
from legoexport.parity.integer.check import IntegerAgreement, compare, within_limits
from legoexport.parity.judge import reference_limit
from legoexport.parity.rankings import CLASS_AXIS, largest, picks_equal_scores
from legoexport.passes.give_probabilities import PROBABILITIES
from legoexport.passes.give_top import ALL_PROBABILITIES, INDICES, TOP
from legoexport.passes.resize_pixels import RESIZED
from legoexport.passes.take_pixels import IMAGE, NORMALIZED, TRANSPOSE


def scores_name(graph: onnx.GraphProto) -> str:
    """Return the name of the scores of a file, or of whatever its first output is."""
    softmax = (node.input[0] for node in graph.node if node.name == PROBABILITIES)
    return str(next(softmax, graph.output[0].name))


def without_ends(model_bytes: bytes) -> bytes:
    """Return a file in int8 from the normalised tensor to the scores, as it is without ends."""
    model = onnx.load_model_from_string(model_bytes)
    names = {node.name for node in model.graph.node}
    if names.isdisjoint((TRANSPOSE, PROBABILITIES)):
        return model_bytes
    start, end = model.graph.input[0].name, scores_name(model.graph)
    batch, *sizes = (
        one.dim_param or one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim
    )
    if TRANSPOSE in names:
        height, width = _size_of(model.graph, RESIZED) or sizes[:2]
        start, sizes = NORMALIZED, [sizes[-1], height, width]
        _round_input(model.graph)
    return bytes(cut_layer(model, start, end, (batch, *sizes)).SerializeToString())


def _size_of(graph: onnx.GraphProto, name: str) -> list[int] | None:
    """Return ``(h, w)`` of pixels ``(b, h, w, c)`` in a graph; None if it has none of that name."""
    shapes = (one.type.tensor_type.shape.dim for one in graph.value_info if one.name == name)
    return next(([one.dim_value for one in shape[1:3]] for shape in shapes), None)


def _round_input(graph: onnx.GraphProto) -> None:
    """Where pixels are the integers of the input, let a normalised tensor be rounded to them."""
    integers, numbers = quantized_name(NORMALIZED), dequantized_name(NORMALIZED)
    affine = next((list(node.input[1:]) for node in graph.node if node.name == numbers), [])
    for node in graph.node:
        if node.name == TRANSPOSE and node.output[0] == integers:
            rounds = helper.make_node(
                "QuantizeLinear", [NORMALIZED, *affine], [integers], name=integers
            )
            node.CopyFrom(rounds)


@dataclass(frozen=True)
class FileEnds:
    """What a file takes in the place of a tensor, and gives in the place of its scores.

    Attributes:
        pixels: Name of the pixels, channels first, where they are the integers of the input; None
            where the input is rounded to integers.
        scores: Name of the scores; None where it gives those.
        is_top: Whether it gives the likeliest classes only.
        resize: How it scales the image first; None if it does not.
        normalization: How it normalises the pixels that it takes; None if it takes a tensor.
    """

    pixels: str | None
    scores: str | None
    is_top: bool
    resize: Resize | None
    normalization: Normalization | None

    @classmethod
    def of(cls, model: onnx.ModelProto) -> FileEnds:
        """Read it from a file."""
        graph = model.graph
        made = {node.name: node.output[0] for node in graph.node}
        integers = quantized_name(NORMALIZED)
        pixels = integers if made.get(TRANSPOSE) == integers else None
        scores = scores_name(graph) if PROBABILITIES in made else None
        facts = read_facts(model)
        return cls(pixels, scores, TOP in made, facts.resize, facts.pixels)

    @property
    def names(self) -> tuple[str, ...]:
        """The values that are needed of a run."""
        scaled = None if self.resize is None else RESIZED
        names = (scaled, self.pixels, self.scores, ALL_PROBABILITIES if self.is_top else None)
        return tuple(name for name in names if name is not None)

    def tensor(self, values: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
        """Return what the network is given in one run, ``(N, c, h, w)``.

        Args:
            values: As ``check`` takes them.
            name: What the network calls its input.
        """
        if self.normalization is None:
            return values[name]
        return self.normalization.applied(self._channels_first(values))

    def check(self, values: Mapping[str, NDArray[Any]]) -> tuple[IntegerAgreement, ...]:
        """Compare pixels with the image, and classes with what follows from the scores of one run.

        Args:
            values: Input, outputs and exposed values of that run, ``(N, ...)``, by name.
        """
        return (*self._scaled(values), *self._moved(values), *self._classes(values))

    def _scaled(self, values: Mapping[str, NDArray[Any]]) -> tuple[IntegerAgreement, ...]:
        if self.resize is None:
            return ()
        right = self.resize.applied(values[IMAGE])
        return (_equal(RESIZED, "MatMul", right, values[RESIZED]),)

    def _moved(self, values: Mapping[str, NDArray[Any]]) -> tuple[IntegerAgreement, ...]:
        if self.pixels is None:
            return ()
        right = self._channels_first(values)
        return (_equal(NORMALIZED, "Transpose", right, values[self.pixels]),)

    def _channels_first(self, values: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
        return np.moveaxis(values[IMAGE if self.resize is None else RESIZED], 3, 1)

    def _classes(self, values: Mapping[str, NDArray[Any]]) -> tuple[IntegerAgreement, ...]:
        """Compare in steps of the limit."""
        if self.scores is None:
            return ()
        scores = values[self.scores]
        float64, float32 = (_softmax(scores.astype(one)) for one in (np.float64, np.float32))
        _, limit = reference_limit(float64, float32, 1.0)
        given = values[ALL_PROBABILITIES if self.is_top else PROBABILITIES]
        softmax = within_limits(PROBABILITIES, "Softmax", np.abs(given - float64) / limit)
        return (softmax, self._ranked(float64, values, limit)) if self.is_top else (softmax,)

    def _ranked(
        self, truth: NDArray[np.float64], values: Mapping[str, NDArray[Any]], limit: float
    ) -> IntegerAgreement:
        shares, indices = values[PROBABILITIES], values[INDICES]
        first, places = largest(truth, shares.shape[1])
        right = picks_equal_scores(first, places, indices, limit, CLASS_AXIS, whole=truth)
        beyond = np.abs(shares - first) / limit
        return within_limits(INDICES, "TopK", np.where(right, beyond, np.maximum(beyond, 2)))


def _equal(
    name: str, operator: str, right: NDArray[np.uint8], given: NDArray[Any]
) -> IntegerAgreement:
    levels = right.astype(np.int64)
    return compare(name, operator, Accepted(levels, levels, levels), given)


def _softmax(scores: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(scores - scores.max(axis=CLASS_AXIS, keepdims=True))
    shares: NDArray[Any] = powers / powers.sum(axis=CLASS_AXIS, keepdims=True)
    return shares

"""The model as a runtime sees it once constants are folded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.tools.onnx_model_utils import optimize_model

from legoexport.errors import UsageError
from legoexport.signals import temporary_folder

WEIGHT_INPUT, BIAS_INPUT = 1, 2
IMAGE_PADS = 4


@dataclass(frozen=True)
class Convolution:
    """A Conv over images with constant weights.

    Attributes:
        name: Its node.
        weight: ``(n, c/group, kh, kw)``.
        bias: ``(n,)`` or None.
        group: Groups.
        pads: ``(top, left, bottom, right)`` in pixels.
        strides: ``(vertical, horizontal)`` in pixels.
        dilations: ``(vertical, horizontal)`` in pixels.
    """

    name: str
    weight: NDArray[Any]
    bias: NDArray[Any] | None
    group: int
    pads: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]

    @property
    def channels(self) -> int:
        """Channels that each filter reads."""
        return int(self.weight.shape[1])

    @property
    def kernel(self) -> tuple[int, int]:
        """``(height, width)`` in pixels."""
        height, width = self.weight.shape[2:]
        return int(height), int(width)


class FoldedModel:
    """An ONNX file with its constants folded, as ONNX Runtime does before it runs anything.

    Args:
        model: The model as it was read.

    Raises:
        UsageError: ONNX Runtime does not load it.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.stamped = model
        self.graph = _fold(model).graph

    @cached_property
    def constants(self) -> dict[str, NDArray[Any]]:
        """Every initializer by its name."""
        return {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}

    @cached_property
    def convolutions(self) -> tuple[Convolution, ...]:
        """Every convolution over images, in the order of the graph."""
        return tuple(self._convolutions())

    @property
    def has_open_batch(self) -> bool:
        """Whether an input leaves its first size open."""
        shapes = [value.type.tensor_type.shape for value in self.stamped.graph.input]
        return any(shape.dim and not shape.dim[0].HasField("dim_value") for shape in shapes)

    @property
    def may_run_one_image(self) -> bool:
        """Whether the batch is, or may be, one."""
        shape = self.stamped.graph.input[0].type.tensor_type.shape
        return self.has_open_batch or shape.dim[0].dim_value == 1

    def nodes(self, *op_types: str) -> list[str]:
        """Names of the nodes of these types."""
        return [node.name for node in self.graph.node if node.op_type in op_types]

    def _convolutions(self) -> Iterator[Convolution]:
        for node in self.graph.node:
            weight = (
                self.constants.get(node.input[WEIGHT_INPUT]) if node.op_type == "Conv" else None
            )
            if weight is None or weight.ndim != 4:  # noqa: PLR2004
                continue
            given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
            bias = node.input[BIAS_INPUT] if len(node.input) > BIAS_INPUT else ""
            yield Convolution(
                name=node.name,
                weight=weight,
                bias=self.constants.get(bias),
                group=int(given.get("group", 1)),
                pads=tuple(given.get("pads", (0,) * IMAGE_PADS)),
                strides=tuple(given.get("strides", (1, 1))),
                dilations=tuple(given.get("dilations", (1, 1))),
            )


def _fold(model: onnx.ModelProto) -> onnx.ModelProto:
    with temporary_folder("legoexport-doctor-") as folder:
        path, folded = folder / "model.onnx", folder / "folded.onnx"
        path.write_bytes(model.SerializeToString())
        try:
            optimize_model(path, folded)
        except Exception as error:
            raise UsageError("onnxruntime does not load the model", received=error) from error
        return onnx.load(folded)


def same(first: NDArray[np.generic] | None, second: NDArray[np.generic] | None) -> bool:
    """Return whether two constants hold the same, or are both absent."""
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second)

"""ONNX Runtime for a parity check: on CPU, deterministic, any value of the graph on request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from legoexport.errors import CheckFailed, UsageError

PROVIDER = "CPUExecutionProvider"
# ONNX Runtime's messages come back in its exceptions.
FATAL_ONLY = 4
IMAGE_RANK = 4


class RuntimeModel:
    """A model loaded into ONNX Runtime.

    Args:
        model_bytes: The ONNX file.
        threads: Intra-op threads.
        optimize: Let ONNX Runtime rewrite the graph, as it does for users.

    Raises:
        UsageError: ONNX Runtime does not load it, or it does not take one image tensor.
    """

    def __init__(self, model_bytes: bytes, threads: int, *, optimize: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.use_deterministic_compute = True
        if not optimize:
            level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = level
        options.log_severity_level = FATAL_ONLY
        try:
            self._session = onnxruntime.InferenceSession(model_bytes, options, providers=[PROVIDER])
        except Exception as error:
            raise UsageError("onnxruntime does not load the model", received=error) from None
        self._input = _single_image_input(self._session)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(c, h, w)`` of an image."""
        c, h, w = self._input.shape[1:]
        return c, h, w

    @property
    def fixed_batch_size(self) -> int | None:
        """The batch, or None where it is open."""
        batch = self._input.shape[0]
        return batch if isinstance(batch, int) else None

    def run(self, images: NDArray[np.float32], batch_size: int) -> NDArray[Any]:
        """Return the first output for ``images (N, c, h, w)``, ``batch_size`` at a time."""
        return next(iter(self.run_all(images, batch_size).values()))

    def run_all(self, images: NDArray[np.float32], batch_size: int) -> Mapping[str, NDArray[Any]]:
        """Return every output by name.

        Raises:
            CheckFailed: ONNX Runtime stops with an error.
        """
        starts = range(0, len(images), batch_size)
        batches = [self._run_batch(images[start : start + batch_size]) for start in starts]
        names = [output.name for output in self._session.get_outputs()]
        return {
            name: np.concatenate(parts)
            for name, parts in zip(names, zip(*batches, strict=True), strict=True)
        }

    def _run_batch(self, batch: NDArray[np.float32]) -> list[NDArray[Any]]:
        try:
            return list(self._session.run(None, {self._input.name: batch}))
        except Exception as error:
            raise CheckFailed("onnxruntime fails while it runs the model", received=error) from None


def parse_model(model_bytes: bytes, source: str) -> onnx.ModelProto:
    """Read an ONNX file.

    Raises:
        UsageError: ``model_bytes`` are not an ONNX file; the message names ``source``.
    """
    try:
        model = onnx.load_model_from_string(model_bytes)
    except Exception:  # protobuf's own exception classes are private
        model = onnx.ModelProto()
    if not model.graph.node:
        raise UsageError(f"{source} is not an ONNX model", received=f"{len(model_bytes)} bytes")
    return model


def expose(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """Return a copy of ``model`` that gives the values called ``names`` as outputs too."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    present = {value.name for value in (*model.graph.input, *model.graph.output)}
    for name in dict.fromkeys(names):
        if name not in present:
            exposed.graph.output.append(onnx.ValueInfoProto(name=name))
    return exposed


def _single_image_input(session: Any) -> Any:
    inputs = session.get_inputs()
    shapes = [value.shape for value in inputs]
    is_image = len(shapes) == 1 and len(shapes[0]) == IMAGE_RANK
    if not is_image or not all(isinstance(size, int) for size in shapes[0][1:]):
        raise UsageError(
            "the model must take one image tensor of fixed channels, height and width",
            received={value.name: value.shape for value in inputs},
            legal="(batch, c, h, w)",
        )
    return inputs[0]

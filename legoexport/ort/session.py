"""ONNX Runtime for a parity check: on CPU, deterministic, any value of the graph on request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from legoexport.errors import CheckFailed, UsageError

PROVIDER = "CPUExecutionProvider"
# ONNX Runtime's messages come back in its exceptions.
FATAL_ONLY = 4
IMAGE_RANK = 4
GREY_OR_COLOUR = (1, 3)
# What stands between DequantizeLinear and QuantizeLinear is computed in float32 as it is written.
NO_INTEGER_KERNELS = "session.disable_quant_qdq"
# U8U8 in the place of U8S8, which overflows on x86 without VNNI; S8S8, which x86 fuses on request.
EXACT_KERNELS = {"uint8": "session.x64quantprecision", "int8": "session.qdqisint8allowed"}
# Fragments that use the same few filters get one weight from it, which exact kernels of uint8
# refuse ("Attempt to replace the existing tensor", ONNX Runtime 1.32).
DISABLED_OPTIMIZERS = "optimization.disable_specified_optimizers"
MERGES_WEIGHTS = "CommonSubexpressionElimination"


# ONNX Runtime's names of the types that numpy has too.
DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


@dataclass(frozen=True)
class InputSpec:
    """An input of a model.

    Attributes:
        name: Its name in the file.
        dtype: What numpy calls its type.
        shape: Its shape without the batch, which comes first.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def is_image(self) -> bool:
        """Whether it is a batch of images in float32."""
        return self.dtype == "float32" and len(self.shape) == IMAGE_RANK - 1

    @property
    def is_pixels(self) -> bool:
        """Whether it is a batch of images as a decoder gives them, ``(b, h, w, c)`` in uint8."""
        is_bytes = self.dtype == "uint8" and len(self.shape) == IMAGE_RANK - 1
        return is_bytes and self.shape[-1] in GREY_OR_COLOUR


class RuntimeModel:
    """A model loaded into ONNX Runtime.

    Args:
        model_bytes: The ONNX file.
        threads: Intra-op threads.
        optimize: Let ONNX Runtime rewrite the graph, as it does for users.
        integer_kernels: Let it compute in integers. Processors of x86 without VNNI overflow on
            codes above 64; without these kernels every processor computes the same.
        exact_integers: Type of the activations' integers, to take kernels that fuse them and do
            not overflow on such processors; they are slower. None to run as users do.

    Raises:
        UsageError: ONNX Runtime does not load it, or an input leaves more open than its batch.
    """

    def __init__(
        self,
        model_bytes: bytes,
        threads: int,
        *,
        optimize: bool = True,
        integer_kernels: bool = True,
        exact_integers: Literal["uint8", "int8"] | None = None,
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.use_deterministic_compute = True
        if not integer_kernels:
            options.add_session_config_entry(NO_INTEGER_KERNELS, "1")
        if exact_integers:
            options.add_session_config_entry(EXACT_KERNELS[exact_integers], "1")
            options.add_session_config_entry(DISABLED_OPTIMIZERS, MERGES_WEIGHTS)
        if not optimize:
            level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = level
        options.log_severity_level = FATAL_ONLY
        self._session = open_session(model_bytes, options)
        self.inputs, self.fixed_batch_size = _read_inputs(self._session)
        outputs = self._session.get_outputs()
        self.output_names = tuple(output.name for output in outputs)
        self.output_dtypes = tuple(DTYPES.get(output.type, output.type) for output in outputs)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(c, h, w)`` of an image.

        Raises:
            UsageError: The model does not take one image tensor and nothing else.
        """
        if len(self.inputs) != 1 or not self.inputs[0].is_image:
            raise UsageError(
                "the model must take one image tensor of fixed channels, height and width",
                received={one.name: (one.dtype, ("batch", *one.shape)) for one in self.inputs},
                legal="float32 (batch, c, h, w)",
                next_step="in Python, legoexport.convert_module and verify take any inputs",
            )
        c, h, w = self.inputs[0].shape
        return c, h, w

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(c, h, w)`` of an image, whether the model takes it normalised or as pixels.

        Raises:
            UsageError: The model does not take one image and nothing else.
        """
        if len(self.inputs) == 1 and self.inputs[0].is_pixels:
            h, w, c = self.inputs[0].shape
            return c, h, w
        return self.input_shape

    def run(self, images: NDArray[Any], batch_size: int) -> NDArray[Any]:
        """Return the first output for ``images (N, c, h, w)``, ``batch_size`` at a time."""
        return next(iter(self.run_all((images,), batch_size).values()))

    def run_all(
        self, arrays: Sequence[NDArray[Any]], batch_size: int
    ) -> Mapping[str, NDArray[Any]]:
        """Return every output by name.

        Args:
            arrays: ``(N, ...)`` for each input, in the order of ``inputs``.
            batch_size: How many of the N go through the model at a time.

        Raises:
            CheckFailed: ONNX Runtime stops with an error, or an output has no batch.
        """
        starts = range(0, len(arrays[0]), batch_size)
        batches = [
            self._run_batch([array[start : start + batch_size] for array in arrays])
            for start in starts
        ]
        return {
            name: _joined(name, parts)
            for name, parts in zip(self.output_names, zip(*batches, strict=True), strict=True)
        }

    def _run_batch(self, batch: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        names = [one.name for one in self.inputs]
        return run_session(self._session, dict(zip(names, batch, strict=True)))


def open_session(model_bytes: bytes, options: Any) -> Any:
    """Load a model for the CPU provider.

    Args:
        model_bytes: The ONNX file.
        options: ``onnxruntime.SessionOptions``.

    Raises:
        UsageError: ONNX Runtime does not load it.
    """
    try:
        return onnxruntime.InferenceSession(model_bytes, options, providers=[PROVIDER])
    except Exception as error:
        raise UsageError("onnxruntime does not load the model", received=error) from None


def run_session(session: Any, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Run a session once; raise ``CheckFailed`` if it stops with an error."""
    try:
        return list(session.run(None, dict(feed)))
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


def _joined(name: str, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if any(part.ndim == 0 for part in parts):
        raise CheckFailed(
            f"output {name} has no batch", received="one number", legal="(batch, ...)"
        )
    return np.concatenate(parts)


def _read_inputs(session: Any) -> tuple[tuple[InputSpec, ...], int | None]:
    """Return the inputs, and the batch if it is fixed."""
    values = session.get_inputs()
    inputs = tuple(
        InputSpec(one.name, DTYPES.get(one.type, ""), (*one.shape[1:],)) for one in values
    )
    batches = {one.shape[0] for one in values if one.shape}
    sizes = [size for one in inputs for size in one.shape]
    known = inputs and all(one.dtype for one in inputs) and all(one.shape for one in values)
    if not known or len(batches) != 1 or not all(isinstance(size, int) for size in sizes):
        raise UsageError(
            "the model must take tensors of fixed sizes, all with the same batch in front",
            received={one.name: (one.type, one.shape) for one in values},
            legal="one image tensor (batch, c, h, w), or several tensors (batch, ...)",
        )
    (batch,) = batches
    return inputs, batch if isinstance(batch, int) else None

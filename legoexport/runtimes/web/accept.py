"""What onnxruntime-web 1.16.3 can read: an ONNX file of its time, in one piece."""

from __future__ import annotations

import onnx

from legoexport.errors import UsageError
from legoexport.ort.session import parse_model
from legoexport.runtimes.web.install import VERSION

# ONNX 1.14, which ONNX Runtime 1.16 was built with.
NEWEST_OPSET = 19
NEWEST_IR = 9
TYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "tensor(float)",
    onnx.TensorProto.UINT8: "tensor(uint8)",
}
STANDARD_DOMAINS = ("", "ai.onnx")
NEXT_STEP = "convert the checkpoint again; without --opset it gets opset 17 and IR 8"

Described = tuple[str, str, list[object]]


def check_model(model_bytes: bytes, source: str) -> tuple[Described, ...]:
    """Refuse a model that this runtime would refuse with a number, or read only in part.

    Args:
        model_bytes: The ONNX file.
        source: The file, for messages.

    Returns:
        Name, type and shape of each input, as ONNX Runtime gives them; a free dimension is its
        name.

    Raises:
        UsageError: The file is newer than the runtime, has weights in other files, or does not take
            float32 or uint8.
    """
    model = parse_model(model_bytes, source)
    opsets = [one.version for one in model.opset_import if one.domain in STANDARD_DOMAINS]
    if max(opsets, default=0) > NEWEST_OPSET or model.ir_version > NEWEST_IR:
        raise UsageError(
            f"{source} is too new for onnxruntime-web {VERSION}",
            received=f"opset {max(opsets, default=0)}, IR {model.ir_version}",
            legal=f"opset {NEWEST_OPSET} and IR {NEWEST_IR} at most",
            next_step=NEXT_STEP,
        )
    if any(tensor.external_data for tensor in model.graph.initializer):
        problem = f"{source} has weights in other files, which do not reach onnxruntime-web"
        raise UsageError(problem, legal="one file", next_step=NEXT_STEP)
    return tuple(_describe(value, source) for value in _free_inputs(model.graph))


def _free_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def _describe(value: onnx.ValueInfoProto, source: str) -> Described:
    tensor = value.type.tensor_type
    if tensor.elem_type not in TYPES:
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        raise UsageError(f"{source}: input {value.name}", received=kind, legal="FLOAT or UINT8")
    sizes: list[object] = [one.dim_value or one.dim_param for one in tensor.shape.dim]
    return value.name, TYPES[tensor.elem_type], sizes

"""Targets: what a runtime runs well and what it cannot run. Presets are data, not branches."""

from __future__ import annotations

from dataclasses import dataclass

from legoexport.errors import UsageError

CONVOLUTION_OPS = frozenset({"Conv", "Gather", "Split", "Concat", "Slice", "Mul", "Add", "Tile"})
RESHAPE_OPS = frozenset({"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Expand"})
NETWORK_OPS = frozenset(
    {
        "AveragePool", "BatchNormalization", "Clip", "Div", "Dropout", "Elu", "Erf", "Exp",
        "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish",
        "Identity", "LayerNormalization", "LeakyRelu", "MatMul", "Max", "MaxPool", "Min", "PRelu",
        "Pad", "Pow", "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Resize", "Shape", "Sigmoid",
        "Softmax", "Sqrt", "Sub", "Tanh", "Constant", "Cast", "Softplus",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What a converted file may contain.

    Attributes:
        name: The name given to ``--target``.
        opset: Version of the default ONNX domain.
        ir_version: Version of the ONNX file format.
        allowed_ops: Operators of the default domain that the runtime runs.
        lowerings: Names of the lowerings that may be used, the preferred one first.
    """

    name: str
    opset: int
    ir_version: int
    allowed_ops: frozenset[str]
    lowerings: tuple[str, ...]


CPU = Target(
    name="cpu",
    # Opset 17 with IR 8 loads on every ONNX Runtime from 1.16 on.
    opset=17,
    ir_version=8,
    allowed_ops=CONVOLUTION_OPS | RESHAPE_OPS | NETWORK_OPS,
    lowerings=(
        "grouped",
        "grouped_dense_merge",
        "per_fragment",
        "fragment_batch",
        "winograd_rows_4",
        "winograd_rows_4_batch",
        "winograd_rows_7",
        "winograd_rows_7_batch",
        "winograd_tiles_4",
        "winograd_tiles_4_batch",
        "dense",
    ),
)

TARGETS = {target.name: target for target in (CPU,)}


def find_target(name: str) -> Target:
    """Return the preset called ``name``.

    Raises:
        UsageError: No preset has that name.
    """
    if name not in TARGETS:
        raise UsageError("unknown target", received=name, legal=", ".join(sorted(TARGETS)))
    return TARGETS[name]

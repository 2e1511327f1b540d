"""The list of operators that ONNX Runtime runs is that of the kernels of the installed one."""

from __future__ import annotations

from typing import Any

import onnx
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from legoexport.operators import KERNEL_OPS
from legoexport.target import ARM64, CPU, WEB

OPSETS = range(17, 22)
# What the comment at the list says is left out.
LEFT_OUT = (
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial"}
    | {"Bernoulli"}
    | {"If", "Loop", "Scan"}
    | {"SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert"}
    | {"SequenceLength", "SequenceMap", "ConcatFromSequence", "SplitToSequence"}
    | {"Optional", "OptionalGetElement", "OptionalHasElement"}
    | {"RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"}
    | {"NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"}
    | {"BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix", "STFT"}
)


def schema(name: str, opset: int) -> Any:
    try:
        return onnx.defs.get_schema(name, opset, "")
    except onnx.defs.SchemaError:
        return None


def since(name: str, opset: int) -> int:
    found = schema(name, opset)
    return int(found.since_version) if found else 0


def has_kernel() -> set[str]:
    kernels = [
        one
        for one in ort.get_all_opkernel_def()
        if one.provider == "CPUExecutionProvider" and one.domain in ("", "ai.onnx")
    ]
    return {
        one.op_name
        for one in kernels
        for opset in OPSETS
        if one.version_range[0] <= since(one.op_name, opset) <= one.version_range[1]
    }


def is_composed() -> set[str]:
    # The newest schema of an operator may be of a later opset than any of these.
    names = {one.name for one in onnx.defs.get_all_schemas() if one.domain == ""}
    found = {name: [one for opset in OPSETS if (one := schema(name, opset))] for name in names}
    return {
        name
        for name, schemas in found.items()
        if any(one.has_function or one.has_context_dependent_function for one in schemas)
    }


def test_every_listed_operator_runs_and_every_operator_is_listed_or_left_out() -> None:
    assert has_kernel() | is_composed() | {"Constant"} == KERNEL_OPS | LEFT_OUT
    assert not KERNEL_OPS & LEFT_OUT


def test_targets_of_those_kernels_take_what_they_run() -> None:
    assert CPU.allowed_ops == ARM64.allowed_ops == WEB.allowed_ops == KERNEL_OPS

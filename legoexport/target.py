"""Targets: what a runtime runs well and what it cannot run. Presets are data, not branches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from legoexport.errors import UsageError
from legoexport.operators import COREML_OPS, INTEGER_OPS, KERNEL_OPS, NNAPI_OPS

# For kernels outside the blocked layout, which only x86 has: they divide a convolution among
# threads by images and groups, but a single image without groups by its matrix product.
STACKED = ("winograd_rows_4_stack", "fragment_stack")
# Nothing but convolutions: what a provider that lacks Gather takes whole.
CONVOLUTIONS = ("grouped_dense_merge", "dense")
# In integers, by rank: see passes/integer_plan.py.
INTEGERS = ("int8_per_fragment", "int8_grouped", "int8_dense")
# Sums of floats, where integers are multiplied no faster than floats are.
GATHERED = "int8_gathered"

Choice = Literal["time", "work", "order"]
Rest = Literal["automatic", "on request", "refused"]
# As legoexport.lego.scales and legoexport.lego.storage have them, which stand on the same floor.
Activations = Literal["uint8", "int8"]
Codes = Literal["int8", "int7"]
# What a plan that was not measured is to save.
OBJECTIVES = ("latency", "memory", "size")


@dataclass(frozen=True)
class Target:
    """What a converted file may contain.

    Attributes:
        name: The name given to ``--target``.
        runs_on: Where such a file is meant to run, in a few words.
        opset: Version of the default ONNX domain.
        ir_version: Version of the ONNX file format.
        dynamic_batch: Whether the batch may stay open; otherwise a file has a fixed one.
        allowed_ops: Operators of the default domain that may run for an image.
        lowerings: Names of the lowerings that it prefers, the first one most; a layer may get them
            by itself.
        rest: What of the lowerings that it does not name: a layer may get them by itself, or only
            where a plan, ``--prefer`` or ``--tune`` asks for them, or not at all.
        choice: How a layer without a plan gets its lowering: by the ``time`` that the cost model
            of a measured machine estimates, by the least ``work`` in multiply-adds, or the first
            in ``order`` that serves.
        providers: Execution providers of ONNX Runtime that run it, the preferred one first.
        on_request: Names of those that only a plan, ``--prefer`` or ``--tune`` may choose, whatever
            becomes of the rest.
        fuses_offline: Whether a file in ORT format may hold ONNX Runtime's own fused operators.
        dilates_groups: Whether a convolution in groups may be dilated.
        int8_lowerings: Lowerings that compute in integers; none where the runtime has no kernels
            for them.
        activations: Type of the integers that stand for activations.
        codes: How large the integers of weights may be where it computes in integers.
        whole_fours: Whether its fast kernels for integers take whole fours of input channels alone.
    """

    name: str
    runs_on: str
    opset: int
    ir_version: int
    dynamic_batch: bool
    allowed_ops: frozenset[str]
    lowerings: tuple[str, ...]
    rest: Rest
    choice: Choice
    providers: tuple[str, ...]
    on_request: tuple[str, ...] = ()
    fuses_offline: bool = True
    dilates_groups: bool = True
    int8_lowerings: tuple[str, ...] = INTEGERS
    activations: Activations = "uint8"
    codes: Codes = "int8"
    whole_fours: bool = False

    @property
    def batch(self) -> str:
        """``open`` or ``fixed``."""
        return "open" if self.dynamic_batch else "fixed"


# Opset 17 with IR 8 loads on every ONNX Runtime from 1.16 on, also in onnxruntime-web.
OPSET, IR_VERSION = 17, 8

CPU = Target(
    name="cpu",
    runs_on="x86-64, ONNX Runtime's own kernels",
    opset=OPSET,
    ir_version=IR_VERSION,
    dynamic_batch=True,
    allowed_ops=KERNEL_OPS,
    lowerings=("grouped",),
    rest="automatic",
    choice="time",
    providers=("CPUExecutionProvider",),
    on_request=STACKED,
    int8_lowerings=(*INTEGERS, GATHERED),
    # x86 without VNNI adds pairs of products in 16 bits and gives wrong sums beyond them, silently.
    codes="int7",
    whole_fours=True,
)
# Exact, and with all eight bits, where the sums are of 32 bits at once; silently wrong elsewhere.
CPU_VNNI = replace(
    CPU,
    name="cpu-vnni",
    runs_on="x86-64 with VNNI alone, where int8",
    int8_lowerings=INTEGERS,
    codes="int8",
)
ARM64 = Target(
    name="arm64",
    runs_on="arm64 phones and boards, ONNX Runtime's own kernels",
    opset=OPSET,
    ir_version=IR_VERSION,
    dynamic_batch=True,
    allowed_ops=KERNEL_OPS,
    # Never groups or a convolution each first: there the SME kernels of onnxruntime 1.24 mistake
    # one fragment for another (see legoexport doctor).
    lowerings=(*STACKED, "fragment_batch"),
    rest="automatic",
    choice="order",
    providers=("CPUExecutionProvider",),
)
XNNPACK = Target(
    name="xnnpack",
    runs_on="phones, XNNPACK, what it lacks on CPU",
    opset=OPSET,
    ir_version=IR_VERSION,
    dynamic_batch=False,
    allowed_ops=KERNEL_OPS,
    lowerings=CONVOLUTIONS,
    # Their convolutions run on XNNPACK too, but not their Gathers: measure whether they repay it.
    rest="on request",
    choice="work",
    providers=("XnnpackExecutionProvider", "CPUExecutionProvider"),
    fuses_offline=False,
    activations="int8",
)
NNAPI = Target(
    name="nnapi",
    runs_on="Android 10 and later, NNAPI",
    opset=OPSET,
    ir_version=IR_VERSION,
    dynamic_batch=False,
    allowed_ops=NNAPI_OPS | INTEGER_OPS,
    lowerings=CONVOLUTIONS,
    rest="refused",
    choice="work",
    providers=("NnapiExecutionProvider", "CPUExecutionProvider"),
    fuses_offline=False,
    dilates_groups=False,
    # It takes integers only between DequantizeLinear and QuantizeLinear, so nothing is split.
    int8_lowerings=("int8_grouped", "int8_dense"),
)
COREML = Target(
    name="coreml",
    runs_on="iOS and macOS, Core ML as MLProgram",
    opset=OPSET,
    ir_version=IR_VERSION,
    dynamic_batch=False,
    allowed_ops=COREML_OPS,
    lowerings=CONVOLUTIONS,
    rest="refused",
    choice="work",
    providers=("CoreMLExecutionProvider", "CPUExecutionProvider"),
    fuses_offline=False,
    int8_lowerings=(),
)
WEB = Target(
    name="web",
    runs_on="browsers, onnxruntime-web (wasm, WebGPU)",
    opset=OPSET,
    ir_version=IR_VERSION,
    dynamic_batch=True,
    allowed_ops=KERNEL_OPS,
    lowerings=(
        *STACKED,
        "grouped",
        "grouped_dense_merge",
        "per_fragment",
        "fragment_batch",
        "dense",
    ),
    rest="refused",
    choice="order",
    providers=("CPUExecutionProvider",),
)

TARGETS = {target.name: target for target in (CPU, CPU_VNNI, ARM64, XNNPACK, NNAPI, COREML, WEB)}


def find_target(name: str) -> Target:
    """Return the preset called ``name``.

    Raises:
        UsageError: No preset has that name.
    """
    if name not in TARGETS:
        raise UsageError.unknown("target", name, sorted(TARGETS))
    return TARGETS[name]

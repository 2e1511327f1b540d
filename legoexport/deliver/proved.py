"""Hold a compiled network to its promises and to PyTorch, before it says where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from legoexport.compile.example import input_names, integer_ranges
from legoexport.compile.stages import Compiled
from legoexport.deliver.integer_invariants import Computes
from legoexport.deliver.prove import check_resize, hold_invariants, prove_in_float, prove_outputs
from legoexport.deliver.ready import Ready
from legoexport.deliver.request import ConversionRequest
from legoexport.host.progress import Progress
from legoexport.parity.agreement import Agreement


@dataclass(frozen=True)
class Proved:
    """A compiled network that keeps its promises.

    Attributes:
        compiled: The graph and how it came about.
        unstamped: The file without its provenance, which records ``agreement``.
        integer_ranges: Values that integer inputs are checked with, by name.
        computes: What ONNX Runtime computes in integers, if it does.
        agreement: Parity of the file with PyTorch.
        float_agreement: That of the network in float that its integers follow, if it has any.
    """

    compiled: Compiled
    unstamped: bytes
    integer_ranges: Mapping[str, tuple[int, int]]
    computes: Computes | None
    agreement: Agreement
    float_agreement: Agreement | None


def prove(
    request: ConversionRequest, ready: Ready, compiled: Compiled, progress: Progress
) -> Proved:
    """Check what a file does: its operators, its banks, its outputs, and how it scales pictures.

    Raises:
        InvariantBroken: It breaks a promise.
        ParityFailed: It does not compute what PyTorch computes.
        UsageError: The target does not take an operator of the network.
        CheckFailed: Pillow does not scale pictures as the file does.
    """
    if compiled.resize is not None:
        check_resize(compiled.resize)
    progress("holding invariants")
    unstamped = compiled.model.SerializeToString(deterministic=True)
    computes = hold_invariants(compiled, unstamped, ready.prepared)
    progress("proving parity")
    ranges = integer_ranges(input_names(ready.network.module, request.inputs), request.inputs)
    agreement = prove_outputs(compiled, unstamped, ready.rounded, ranges, request.calibrate)
    in_float = None
    if compiled.scales is not None:
        in_float = prove_in_float(ready.prepared, ready.rounded, ranges)
    return Proved(compiled, unstamped, ranges, computes, agreement, in_float)

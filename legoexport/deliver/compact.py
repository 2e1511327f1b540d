"""Bring a file that a tool has folded back to the size that it was converted to, and prove it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
import onnx_ir as ir

from legoexport.errors import CheckFailed, UsageError
from legoexport.ort.constant_values import constant_values
from legoexport.ort.session import RuntimeModel, parse_model
from legoexport.parity.inputs import draw_inputs
from legoexport.passes.unfold_banks import UnfoldBanks

THREADS = 1


@dataclass(frozen=True)
class Compacted:
    """A file that holds its banks once again.

    Attributes:
        model_bytes: The file.
        folded_size_bytes: Size of the folded one.
        unfolded: Names of the weights that are computed again.
    """

    model_bytes: bytes
    folded_size_bytes: int
    unfolded: tuple[str, ...]


def compact(folded_bytes: bytes, like_bytes: bytes) -> Compacted:
    """Compute the weights of a folded file from the banks of the file that was folded.

    Args:
        folded_bytes: What a simplifier made of ``like_bytes``.
        like_bytes: A file that ``convert`` wrote.

    Raises:
        UsageError: One of them is no ONNX file, or they are of different opsets.
        CheckFailed: Nothing in the one is folded from the other, or the smaller file is not equal
            to the folded one, to the bit.
    """
    folded, like = parse_model(folded_bytes, "FOLDED"), parse_model(like_bytes, "--like")
    _check_opsets(folded, like)
    values = constant_values(like)
    model, unfold = ir.from_proto(folded), UnfoldBanks(ir.from_proto(like), values)
    unfold(model)
    small = ir.to_proto(model)
    _restore_metadata(small, like)
    content = small.SerializeToString()
    if not unfold.unfolded or len(content) >= len(folded_bytes):
        raise CheckFailed(
            "nothing of the file is folded from --like, or it would not become smaller",
            received=f"{len(folded_bytes)} bytes",
            next_step="give --like the file that the tool was given",
        )
    _check(folded, small, unfold.unfolded)
    return Compacted(content, len(folded_bytes), tuple(unfold.unfolded))


def _check_opsets(folded: onnx.ModelProto, like: onnx.ModelProto) -> None:
    opsets = [
        next((one.version for one in model.opset_import if one.domain in {"", "ai.onnx"}), 0)
        for model in (folded, like)
    ]
    if opsets[0] != opsets[1]:
        raise UsageError(
            "the files are of different opsets, in which operators may differ",
            received=f"opset {opsets[0]} beside {opsets[1]} of --like",
            next_step=f"convert again with --opset {opsets[0]}, and give that file to --like",
        )


def _restore_metadata(small: onnx.ModelProto, like: onnx.ModelProto) -> None:
    """Give back what the tool dropped of what the file says of itself."""
    present = {entry.key for entry in small.metadata_props}
    small.metadata_props.extend(one for one in like.metadata_props if one.key not in present)


def _check(folded: onnx.ModelProto, small: onnx.ModelProto, unfolded: list[str]) -> None:
    """Hold that every weight and every output is the same, to the bit."""
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in folded.graph.initializer}
    computed = constant_values(small)
    for name in unfolded:
        if computed[name].tobytes() != stored[name].tobytes():
            raise CheckFailed(f"weight {name} is not computed to the bit")
    onnx.checker.check_model(small, full_check=True)
    models = [RuntimeModel(one.SerializeToString(), THREADS) for one in (folded, small)]
    for drawn in draw_inputs(models[0].inputs, models[0].fixed_batch_size, {}):
        first, second = (one.run_all(drawn.arrays, drawn.batch_size) for one in models)
        wrong = [name for name in first if first[name].tobytes() != second[name].tobytes()]
        if wrong:
            raise CheckFailed(f"output {', '.join(wrong)} is not the same to the bit")

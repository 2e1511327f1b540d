"""Compact: bring a file that another tool has folded back to the size that convert gave it.

Whatever computes from constants alone comes back from the converted file, as nodes and stored
banks, and so do constants that the tool merged because they are equal; all else stays as the tool
left it. What comes of that is proved: every weight that is computed again and every output equals
the folded file's to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir
from onnx import numpy_helper

from legoexport.compile.stamp import read_integer_ranges
from legoexport.deliver.folded_pair import FoldedPair
from legoexport.deliver.folded_weights import OTHER_NUMBERS, content_of, find_folded
from legoexport.errors import CheckFailed, UsageError
from legoexport.host.progress import Progress
from legoexport.lego.file_facts import PREFIX
from legoexport.lego.layer_records import LAYERS_KEY, read_layers
from legoexport.ort.constant_values import constant_values
from legoexport.ort.session import RuntimeModel
from legoexport.parity.inputs import draw_inputs
from legoexport.passes.rebuild_weights import RebuildWeights
from legoexport.passes.separate_constants import SeparateConstants

SHOWN_COUNT = 3
# Beyond it ONNX Runtime rearranges weights for the processor of this machine.
OTHER_LEVEL = "optimize no further than ONNX Runtime's level ORT_ENABLE_EXTENDED"


@dataclass(frozen=True)
class Compacted:
    """A file that was brought back.

    Attributes:
        model_bytes: The file.
        folded_size_bytes: Size of the folded one.
        like_size_bytes: Size of the converted one.
        rebuilt: Initializers of the folded file that are computed again.
        left: Why initializers stay folded, by their names.
        restored: Entries of the metadata that the tool had dropped.
        inputs_count: How many inputs the outputs were compared on.
    """

    model_bytes: bytes
    folded_size_bytes: int
    like_size_bytes: int
    rebuilt: tuple[str, ...]
    left: Mapping[str, str]
    restored: tuple[str, ...]
    inputs_count: int

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return len(self.model_bytes)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the file as JSON values."""
        return {
            "size_bytes": self.size_bytes,
            "folded_size_bytes": self.folded_size_bytes,
            "like_size_bytes": self.like_size_bytes,
            "rebuilt": list(self.rebuilt),
            "left": dict(self.left),
            "metadata_restored": list(self.restored),
            "inputs_count": self.inputs_count,
        }


def compact(pair: FoldedPair, progress: Progress = lambda _: None) -> Compacted:
    """Let the folded file compute its weights again, and prove that nothing else changed.

    Raises:
        UsageError: Nothing in it was folded from the converted file.
        CheckFailed: It holds other weights, would not be smaller, or is not equal to the bit.
    """
    folded, like = pair.folded, pair.like
    progress("computing the constants")
    found = find_folded(folded.model, like.model)
    if not found.values:
        raise _nothing_folded(pair, found.left)
    progress("rebuilding the weights")
    source = ir.from_proto(like.model)
    steps = ir.passes.Sequential(RebuildWeights(source, found.values), SeparateConstants(source))
    small = ir.to_proto(steps(ir.from_proto(folded.model)).model)
    restored = _restore_metadata(small, like.model)
    model_bytes = small.SerializeToString(deterministic=True)
    if len(model_bytes) >= len(folded.content):
        raise CheckFailed(
            f"{folded.path} would not become smaller",
            received=f"{len(model_bytes)} bytes after, {len(folded.content)} before",
            next_step="keep it as it is",
        )
    progress("proving the file")
    _prove_constants(small, folded.model, found.values)
    return Compacted(
        model_bytes=model_bytes,
        folded_size_bytes=len(folded.content),
        like_size_bytes=len(like.content),
        rebuilt=tuple(found.values),
        left=found.left,
        restored=restored,
        inputs_count=_prove_outputs(model_bytes, pair),
    )


def _nothing_folded(pair: FoldedPair, left: Mapping[str, str]) -> CheckFailed | UsageError:
    differing = [name for name, why in left.items() if why == OTHER_NUMBERS]
    if differing:
        return CheckFailed(
            f"{pair.folded.path} holds other weights than {pair.like.path} computes",
            received=_shortened(differing),
            legal="weights that are equal to the bit",
            next_step="give --like the very file that the tool was given",
        )
    has_grown = len(pair.folded.content) > len(pair.like.content)
    return UsageError(
        f"nothing in {pair.folded.path} is folded from {pair.like.path}",
        received=f"{len(pair.folded.content)} bytes, {len(pair.like.content)} as converted",
        legal="a file that holds weights which the converted file computes",
        next_step=OTHER_LEVEL if has_grown else "keep it as it is",
    )


def _restore_metadata(small: onnx.ModelProto, like: onnx.ModelProto) -> tuple[str, ...]:
    """Add what the tool dropped; of the layers only if their values are still there."""
    present = {entry.key for entry in small.metadata_props}
    missing = [
        entry
        for entry in like.metadata_props
        if entry.key.startswith(PREFIX) and entry.key not in present
    ]
    if not _has_layers_of(small, like):
        missing = [entry for entry in missing if entry.key != LAYERS_KEY]
    small.metadata_props.extend(missing)
    return tuple(entry.key for entry in missing)


def _has_layers_of(small: onnx.ModelProto, like: onnx.ModelProto) -> bool:
    try:
        read_layers(onnx.ModelProto(graph=small.graph, metadata_props=like.metadata_props))
    except UsageError:
        return False
    return True


def _prove_constants(
    small: onnx.ModelProto, folded: onnx.ModelProto, values: Mapping[str, str]
) -> None:
    try:
        onnx.checker.check_model(small, full_check=True)
    except Exception as error:  # the checker's and shape inference's own
        raise CheckFailed("the file fails ONNX's own check", received=error) from None
    computed = constant_values(small)
    tensors = {one.name: numpy_helper.to_array(one) for one in folded.graph.initializer}
    wrong = [
        name
        for name, value in values.items()
        if content_of(computed[value]) != content_of(tensors[name])
    ]
    if wrong:
        raise CheckFailed(
            "the file computes other weights than the folded one holds", received=_shortened(wrong)
        )


def _prove_outputs(model_bytes: bytes, pair: FoldedPair) -> int:
    """Run both files; return the number of inputs that they were run on."""
    small, folded = RuntimeModel(model_bytes, threads=1), pair.folded.runtime
    ranges, count = read_integer_ranges(pair.like.model), 0
    for inputs in draw_inputs(small.inputs, small.fixed_batch_size, ranges):
        runs = [one.run_all(inputs.arrays, inputs.batch_size) for one in (small, folded)]
        wrong = [
            name
            for name, array in runs[0].items()
            if content_of(array) != content_of(runs[1][name])
        ]
        if wrong:
            raise CheckFailed(
                "the file does not give the outputs of the folded one",
                received=f"{', '.join(wrong)} on {inputs.name}",
                legal="equal to the bit",
            )
        count += len(inputs.arrays[0])
    return count


def _shortened(names: Sequence[str]) -> str:
    others = len(names) - SHOWN_COUNT
    return ", ".join(names[:SHOWN_COUNT]) + (f" and {others} more" if others > 0 else "")

"""Exact: a converted file against the one that its checkpoint gives, to the bit.

The same checkpoint, plan, target and versions give the same bytes. So a changed file shows even
where its numbers stay within the limits, and the tensor or node that was changed is named. Where
the file cannot be rebuilt here, the reason is said, and the numerical proof stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx

from legoexport.compile.freeze import FrozenNetwork
from legoexport.compile.stages import Observer
from legoexport.compile.stamp import (
    FROM_MODULE,
    installed_versions,
    read_stamp,
)
from legoexport.errors import LegoExportError
from legoexport.lego.file_facts import PREFIX
from legoexport.lego.normalization import Normalization
from legoexport.parity.compare_models import compare_models
from legoexport.parity.compare_versions import compare_across_versions
from legoexport.parity.difference import Difference, shortened
from legoexport.parity.opened import OpenedModel
from legoexport.parity.rebuild import (
    BYSTANDERS,
    DIGEST,
    compile_inputs,
    differ,
    rebuild,
    recorded_versions,
)
from legoexport.target import TARGETS

SHOWN_COUNT = 10
NOT_OURS = "legoexport did not write the file"
OTHER_SOURCE = "the file does not say that it was converted from this network"


@dataclass(frozen=True)
class ExactCheck:
    """What came of comparing a file with the one that its checkpoint gives.

    Attributes:
        tensors_count: Tensors that were compared.
        nodes_count: Nodes that were compared.
        differences: What is not as the checkpoint gives it.
        reason: Why the file was not held to it, or None if it was.
        rebuilt: The file that the checkpoint gives here; None if it gives none.
    """

    tensors_count: int = 0
    nodes_count: int = 0
    differences: tuple[Difference, ...] = ()
    reason: str | None = None
    rebuilt: onnx.ModelProto | None = field(default=None, compare=False, repr=False)

    @property
    def passed(self) -> bool:
        """Whether nothing in the file is known to be wrong."""
        return not self.differences

    @property
    def lines(self) -> tuple[str, ...]:
        """The first differences, one a line."""
        left_out = len(self.differences) - SHOWN_COUNT
        more = (f"and {left_out} more differences",) if left_out > 0 else ()
        return (*map(str, self.differences[:SHOWN_COUNT]), *more)

    def __str__(self) -> str:
        if self.reason:
            return f"not rebuilt: {self.reason}"
        if self.differences:
            count = len(self.differences)
            noun = "difference" if count == 1 else "differences"
            return f"rebuilt: {count} {noun} from what the checkpoint gives"
        return f"rebuilt: equal to the bit, {self.tensors_count} tensors, {self.nodes_count} nodes"

    def to_json(self) -> dict[str, Any]:
        """Return every field, and whether the file is equal, as JSON values."""
        return {
            "equal": self.reason is None and self.passed,
            "tensors_count": self.tensors_count,
            "nodes_count": self.nodes_count,
            "differences": [one.to_json() for one in self.differences],
            "reason": self.reason,
        }


NOT_COMPARED = ExactCheck(reason=NOT_OURS)


def check_exactly(
    opened: OpenedModel,
    network: FrozenNetwork,
    *,
    checkpoint_sha256: str | None,
    normalization: Normalization | None,
    class_names: tuple[str, ...] = (),
    observe: Observer | None = None,
) -> ExactCheck:
    """Rebuild a file from its network and compare the two.

    Args:
        opened: The converted file.
        network: The network, frozen.
        checkpoint_sha256: Digest of the checkpoint that it came from, or None for a live module.
        normalization: Of the pictures in training, where the checkpoint records it.
        class_names: As the checkpoint has them.
        observe: Called with a snapshot after each stage of compiling.
    """
    facts = read_stamp(opened.model)
    if not facts:
        return NOT_COMPARED
    recorded = facts.get("checkpoint_sha256", "")
    own = checkpoint_sha256 or FROM_MODULE
    # A damaged digest is a difference; another one is another source.
    is_source = recorded == own or not (recorded == FROM_MODULE or DIGEST.fullmatch(recorded))
    others = _other_versions(opened.model)
    differences: tuple[Difference, ...]
    rebuilt: onnx.ModelProto | None = None
    try:  # also for other versions: what is observed on the way is judged in any case
        made = rebuild(
            compile_inputs(opened, network),
            opened.model,
            checkpoint_sha256=own if is_source else recorded,
            normalization=normalization,
            class_names=class_names,
            observe=observe,
        )
    except LegoExportError as error:
        differences = (_uncompilable(facts, error),)
    else:
        rebuilt, differences = made, () if others else compare_models(made, opened.model)
    if others:
        return _not_rebuilt(f"it was written with {others}", opened, rebuilt)
    if differences and not is_source:
        first = f"{len(differences)} differences from it, the first in {differences[0]}"
        return _not_rebuilt(f"{OTHER_SOURCE}; {first}", opened, rebuilt)
    tensors, nodes = (rebuilt.graph.initializer, rebuilt.graph.node) if rebuilt else ((), ())
    return ExactCheck(len(tensors), len(nodes), differences, rebuilt=rebuilt)


def _not_rebuilt(reason: str, opened: OpenedModel, rebuilt: onnx.ModelProto | None) -> ExactCheck:
    """No limit binds the outputs of a file in int8: it is held to what both must have alike."""
    differences: tuple[Difference, ...] = ()
    if rebuilt is not None and opened.facts.precision == "int8":
        differences = compare_across_versions(rebuilt, opened.model)
    return ExactCheck(differences=differences, reason=reason, rebuilt=rebuilt)


def _other_versions(model: onnx.ModelProto) -> str:
    """Return which packages wrote a file in other versions than those installed."""
    # A record that cannot be read is damaged, which the comparison will say.
    recorded = recorded_versions(model)
    return ", ".join(
        f"{name} {recorded[name]} (here {version})"
        for name, version in installed_versions().items()
        if name in recorded and name not in BYSTANDERS and differ(recorded[name], version)
    )


def _uncompilable(facts: Mapping[str, str], error: LegoExportError) -> Difference:
    key = "plan" if facts.get("target") in TARGETS else "target"
    expected = f"one that compiles ({shortened(error)})"
    return Difference("metadata", f"{PREFIX}{key}", None, expected, shortened(facts.get(key, "")))

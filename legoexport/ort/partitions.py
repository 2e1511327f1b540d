"""Partitions: how many pieces an execution provider would cut a file into.

NNAPI and Core ML do not run here. onnxruntime's own usability checker answers for them, from tables
of the operators that they take, after the constant folding of every session. The tables are stale
in places (docs/targets.md). Providers that are here are asked through a session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import onnx
import onnxruntime
from onnx import helper
from onnxruntime.tools.mobile_helpers import usability_checker
from onnxruntime.tools.onnx_model_utils import (
    ModelProtoWithShapeInfo,
    is_fixed_size_tensor,
    optimize_model,
)

from legoexport.ort.placement import node_providers
from legoexport.ort.providers import short_name
from legoexport.signals import temporary_folder

Checker = Callable[[onnx.ModelProto, bool], Any]

CHECKERS: Mapping[str, Checker] = {
    "NNAPI": usability_checker.check_nnapi_partitions,
    "CoreML MLProgram": partial(
        usability_checker.check_coreml_partitions,
        config_filename="coreml_supported_mlprogram_ops.md",
    ),
    "CoreML NeuralNetwork": partial(
        usability_checker.check_coreml_partitions,
        config_filename="coreml_supported_neuralnetwork_ops.md",
    ),
}


@dataclass(frozen=True)
class Partitions:
    """What one provider takes of a file.

    Attributes:
        provider: Its name.
        nodes_count: Nodes that are left after constant folding.
        placed_count: Those that the provider takes.
        partitions_count: Connected pieces that these form.
        unsupported_ops: Operators that it does not take, such as ``ai.onnx:Gather``.
        fixed_batch: Whether the batch is fixed; if not, the figures assume a fixed one.
    """

    provider: str
    nodes_count: int
    placed_count: int
    partitions_count: int
    unsupported_ops: tuple[str, ...]
    fixed_batch: bool

    @property
    def whole(self) -> bool:
        """Whether the provider runs all of it, in one piece."""
        return self.placed_count == self.nodes_count and self.partitions_count == 1

    def to_json(self) -> dict[str, Any]:
        """Return every field and the verdict as JSON values."""
        return asdict(self) | {"whole": self.whole}

    def __str__(self) -> str:
        pieces = "partition" if self.partitions_count == 1 else "partitions"
        lacking = f", without {', '.join(self.unsupported_ops)}" if self.unsupported_ops else ""
        condition = "" if self.fixed_batch else ", once the batch is fixed"
        return (
            f"{self.provider} {self.placed_count} of {self.nodes_count} nodes"
            f" in {self.partitions_count} {pieces}{lacking}{condition}"
        )


def check_partitions(model_bytes: bytes) -> tuple[Partitions, ...]:
    """Return what the mobile providers would take of an ONNX file.

    The checker of onnxruntime 1.32 looks at operators, ranks and shapes, not at attributes.
    """
    with temporary_folder("legoexport-partitions-") as folder:
        path, folded = folder / "model.onnx", folder / "folded.onnx"
        path.write_bytes(model_bytes)
        optimize_model(path, folded)
        model = ModelProtoWithShapeInfo(folded).model_with_shape_info
    _spell_out_perms(model.graph)
    fixed = all(is_fixed_size_tensor(value) for value in model.graph.input)
    return tuple(_check(name, checker, model, fixed=fixed) for name, checker in CHECKERS.items())


def placements_here(model_bytes: bytes, providers: Sequence[str]) -> Mapping[str, int]:
    """Return how many nodes each of ``providers`` that is here takes, by its short name.

    Raises:
        UsageError: ONNX Runtime does not load the model.
    """
    available = onnxruntime.get_available_providers()
    present = [name for name in providers if name in available]
    counts = Counter(node_providers(model_bytes, present).values())
    return {short_name(name): counts[name] for name in present}


def _spell_out_perms(graph: onnx.GraphProto) -> None:
    """Give every Transpose a ``perm``: the checker reads its length, and stops where it is implied.

    Ranks are checked against the shapes all the same.
    """
    for node in graph.node:
        if node.op_type == "Transpose" and not node.attribute:
            node.attribute.append(helper.make_attribute("perm", [0]))


def _check(name: str, checker: Checker, model: onnx.ModelProto, *, fixed: bool) -> Partitions:
    # Without a fixed batch no node would count: the figures are then those it would have.
    found = checker(model, fixed)
    return Partitions(
        provider=name,
        nodes_count=found.num_nodes,
        placed_count=found.num_supported_nodes,
        partitions_count=found.num_partitions,
        unsupported_ops=tuple(sorted(found.unsupported_ops)),
        fixed_batch=fixed,
    )

"""Bring the graph to the opset and IR version of the target.

A node whose operator has the same definition in both opsets needs no change but the label. What
opset 18 redefined is said the old way node by node; for anything else the onnx package's own
version converter rewrites the graph.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir
from onnx import defs, version_converter
from onnx_ir.passes import common as common_passes

from legoexport.errors import UsageError
from legoexport.passes.conditions import ensure, no_lego_problems, output_problems, require
from legoexport.passes.opset_adapters import ADAPTERS, REDEFINED_IN_OPSET

# Metadata on nodes and values came with IR 10.
METADATA_IR_VERSION = 10


class OpsetTooLow(UsageError):  # noqa: N818 - reads as the statement it makes
    """An operator of the network cannot be said in the opset that was asked for. Exit code 2.

    Attributes:
        op_types: The operators, sorted.
    """

    def __init__(self, opset: int, op_types: tuple[str, ...]) -> None:
        super().__init__(
            f"the network cannot be written in opset {opset}",
            received=", ".join(op_types),
            next_step="convert with a higher --opset, or without it",
        )
        self.op_types = op_types


class SetOpset(ir.passes.FunctionalPass):
    """Convert the default domain to ``opset`` and the file format to ``ir_version``.

    Raises:
        OpsetTooLow: An operator has no equivalent in ``opset``.
    """

    def __init__(self, opset: int, ir_version: int) -> None:
        super().__init__()
        self.opset = opset
        self.ir_version = ir_version

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Return the converted model; report whether the opset or the IR version changed."""
        before = (model.opset_imports[""], model.ir_version)
        model = model.clone()
        redefined = [node for node in model.graph.all_nodes() if self._redefines(node, before[0])]
        unsettled = [node for node in redefined if not self._adapt(node, before[0])]
        if unsettled:
            model = self._convert(model, sorted({node.op_type for node in unsettled}))
        model.opset_imports[""] = self.opset
        model.ir_version = self.ir_version
        if self.ir_version < METADATA_IR_VERSION:
            common_passes.ClearMetadataAndDocStringPass()(model)
        return ir.passes.PassResult(model, modified=before != (self.opset, self.ir_version))

    def requires(self, model: ir.Model) -> None:
        """Only standard operators are left: the converter knows no others."""
        require(self, no_lego_problems(model))

    def ensures(self, model: ir.Model) -> None:
        """The labels are those asked for, and every operator is one of that opset."""
        ensure(self, self._label_problems(model))
        ensure(self, output_problems(model))

    def _label_problems(self, model: ir.Model) -> Iterator[str]:
        labels = (model.opset_imports[""], model.ir_version)
        if labels != (self.opset, self.ir_version):
            yield f"opset and IR version are {labels}, not {(self.opset, self.ir_version)}"
        for node in model.graph.all_nodes():
            if node.domain == "" and len(node.inputs) > _most_inputs(node.op_type, self.opset):
                yield (
                    f"node {node.name}: opset {self.opset} has no {node.op_type} "
                    f"of {len(node.inputs)} inputs"
                )

    def _redefines(self, node: ir.Node, current: int) -> bool:
        return node.domain == "" and _since(node.op_type, current) != _since(
            node.op_type, self.opset
        )

    def _adapt(self, node: ir.Node, current: int) -> bool:
        crosses = current >= REDEFINED_IN_OPSET > self.opset
        adapter = ADAPTERS.get(node.op_type)
        return crosses and adapter is not None and adapter(node)

    def _convert(self, model: ir.Model, op_types: list[str]) -> ir.Model:
        try:
            converted = version_converter.convert_version(ir.to_proto(model), self.opset)
        except RuntimeError as error:  # an assertion of C++, which names no node
            raise OpsetTooLow(self.opset, tuple(op_types)) from error
        return ir.from_proto(converted)


def _since(op_type: str, opset: int) -> int:
    """Return the opset that introduced the definition of ``op_type`` in force at ``opset``."""
    try:
        return int(defs.get_schema(op_type, opset, "").since_version)
    except defs.SchemaError:
        return 0


def _most_inputs(op_type: str, opset: int) -> int:
    """Return how many inputs ``op_type`` takes at ``opset``; -1 if there is no such operator."""
    try:
        return int(defs.get_schema(op_type, opset, "").max_input)
    except defs.SchemaError:
        return -1


def onnx_opset_range() -> tuple[int, int]:
    """Opsets that can be written: from 15, below which onnx's converter lacks Relu, to onnx's."""
    return 15, int(onnx.defs.onnx_opset_version())

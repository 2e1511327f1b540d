"""torch's dynamo exporter, asked so that most networks survive it, and its refusals explained."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.export.graph_signature import ConstantArgument, OutputKind
from torch.utils._pytree import tree_unflatten

from legoexport.compile.decompositions import DECOMPOSITIONS
from legoexport.compile.graph_names import name_ends
from legoexport.errors import UsageError
from legoexport.models.compute_in import computing_in
from legoexport.models.outputs import output_names
from legoexport.models.run import Place, shortened

# The lowest opset that torch 2.13's exporter writes by itself.
EXPORTER_OPSET = 18
# How torch.onnx names the operator that it has no translation for.
UNTRANSLATED = re.compile(r"torch\.ops\.(aten\.\w+)\.(\w+)")
# How it names one that it finds no overload of, for arguments whose types differ.
NO_OVERLOAD = re.compile(r"Cannot find a compatible OpOverload for (aten\.\w+)")
SOURCE_LINE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    names: Sequence[str],
    *,
    dynamic_batch: bool,
    opset: int,
) -> ir.Model:
    """Export ``module`` through torch's dynamo exporter, in float32 throughout.

    Args:
        module: In eval mode, with parameters in float32.
        inputs: Its arguments, of the size to export; the batch is at least 2 where it is dynamic.
        names: Of the inputs, for the graph.
        dynamic_batch: Leave the first dimension open.
        opset: The opset wanted in the end; at least ``EXPORTER_OPSET`` is emitted.

    Raises:
        UsageError: The exporter cannot express the network; the message names the module, the
            operator and the line.
    """
    task = _Task(
        module, inputs, names, dynamic_batch=dynamic_batch, opset=max(opset, EXPORTER_OPSET)
    )
    try:
        return task.to_onnx(module)
    except Exception as error:  # the forward is the user's, and the exporter's failures are many
        operator = _untranslated(error)
        if operator in {str(one) for one in DECOMPOSITIONS}:
            return task.decomposed()
        raise task.explained(error, operator) from error


class _Task:
    """One export, and what to try or say when it fails."""

    def __init__(
        self,
        module: nn.Module,
        inputs: tuple[Tensor, ...],
        names: Sequence[str],
        *,
        dynamic_batch: bool,
        opset: int,
    ) -> None:
        self.module, self.inputs, self.names, self.opset = module, inputs, names, opset
        self.shapes: Any = None
        if dynamic_batch:
            collection: Any = torch.export.ShapesCollection()  # type: ignore[no-untyped-call]
            batch = torch.export.Dim("batch", min=1)
            for one in inputs:
                collection[one] = {0: batch}
            self.shapes = collection.dynamic_shapes(module, inputs)

    def to_onnx(self, source: nn.Module | torch.export.ExportedProgram) -> ir.Model:
        """Write ``source``, the module or a program made of it, as ONNX."""
        is_module = isinstance(source, nn.Module)
        with _quiet(), computing_in(torch.float32):
            program = torch.onnx.export(
                source,
                self.inputs if is_module else (),
                dynamo=True,
                opset_version=self.opset,
                dynamic_shapes=self.shapes if is_module else None,
                verbose=False,
                external_data=False,
            )
        if program is None or program.exported_program is None:
            raise RuntimeError("torch's exporter gave no program back")
        model: ir.Model = program.model
        outputs = output_names(_structure(program.exported_program), taken=self.names)
        name_ends(model.graph, self.names, outputs)
        return model

    def program(self) -> torch.export.ExportedProgram:
        """Trace the module without writing ONNX."""
        with _quiet(), computing_in(torch.float32):
            return torch.export.export(
                self.module, self.inputs, dynamic_shapes=self.shapes, strict=False
            )

    def decomposed(self) -> ir.Model:
        """Write operators that the exporter does not know in terms of those that it knows."""
        table = torch.export.default_decompositions()
        table.update(DECOMPOSITIONS)  # type: ignore[no-untyped-call]
        try:
            return self.to_onnx(self.program().run_decompositions(table))
        except Exception as error:  # as in ``export``
            raise self.explained(error, _untranslated(error)) from error

    def explained(self, error: BaseException, operator: str | None) -> UsageError:
        """Name the module, the operator and the line that the exporter stopped at."""
        if operator is not None:
            return UsageError(
                f"torch's exporter has no ONNX for {operator.rpartition('.')[0]}",
                received=self._home_of(operator),
                next_step="replace it by operators that ONNX has, or compute it after the network",
            )
        place = Place("")
        with contextlib.suppress(Exception), place.followed(self.module):
            self.program()
        return UsageError(
            f"torch.export cannot trace {place.describe(self.module)}",
            received=shortened(error.__cause__ or error),
            next_step="make its forward the same for every input: no if, loop or index that"
            " depends on a tensor's values",
        )

    def _home_of(self, operator: str) -> str | None:
        try:
            graph = self.program().run_decompositions().graph
        except Exception:  # it could be traced before; without it the message says less
            return None
        nodes = [node for node in graph.nodes if str(node.target) == operator]
        return _describe(nodes[0]) if nodes else None


def _structure(program: torch.export.ExportedProgram) -> Any:
    """Return what the network gives back, with a number in place of each tensor."""
    arguments = [
        one.arg
        for one in program.graph_signature.output_specs
        if one.kind is OutputKind.USER_OUTPUT
    ]
    leaves = [
        None if isinstance(one, ConstantArgument) and one.value is None else position
        for position, one in enumerate(arguments)
    ]
    return tree_unflatten(leaves, program.call_spec.out_spec)


def _describe(node: torch.fx.Node) -> str:
    stack = list(node.meta.get("nn_module_stack", {}).values())
    name, kind = stack[-1] if stack else ("", "")
    lines = [*SOURCE_LINE.finditer(node.meta.get("stack_trace") or "")]
    where = f", at {lines[-1]['file']}:{lines[-1]['line']}" if lines else ""
    return f"module {name or 'itself'} ({str(kind).rpartition('.')[2]}){where}"


def _untranslated(error: BaseException) -> str | None:
    """Return such as ``aten.matrix_exp.default`` if the exporter lacks a translation for it."""
    message = str(error.__cause__ or error)
    if differing := NO_OVERLOAD.search(message):
        return f"{differing[1]}.default"
    found = UNTRANSLATED.search(message) if "translating node" in message else None
    return f"{found[1]}.{found[2]}" if found else None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep notes about packages that are not installed, and graphs, off the user's terminal."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

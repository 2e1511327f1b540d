"""What a pass may rely on and what it must leave behind, checked around every pass.

A condition that fails is a mistake of this compiler, never of its user: it raises onnx-ir's
``PreconditionError`` or ``PostconditionError``, which name the pass, the layer and the node. What a
user can do wrong raises ``UsageError`` before or inside the pass. Shapes and names are read, values
are not, so the conditions cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir

from legoexport.lego import names
from legoexport.passes import lego_op
from legoexport.passes.constants import constant_array
from legoexport.passes.draft import Draft

TABLE_RANKS = {"lego": 4, "index": 2, "coefficient": 2, "bias": 1}


def require(rewrite: ir.passes.PassBase, problems: Iterable[str]) -> None:
    """Raise PreconditionError, with the pass and the first problem, if there is one."""
    for problem in problems:
        raise ir.passes.PreconditionError(f"before {type(rewrite).__name__}: {problem}")


def ensure(rewrite: ir.passes.PassBase, problems: Iterable[str]) -> None:
    """Raise PostconditionError, with the pass and the first problem, if there is one."""
    for problem in problems:
        raise ir.passes.PostconditionError(f"after {type(rewrite).__name__}: {problem}")


def lego_problems(model: ir.Model) -> Iterator[str]:
    """Say which LegoConv2d node is not one: its tables are stored, in the shapes of one layer."""
    seen: set[str] = set()
    for node in model.graph.all_nodes():
        if node.domain != lego_op.DOMAIN:
            continue
        layer = node.attributes.get_string("layer", "")
        if layer in seen:
            yield f"two LegoConv2d nodes are called {layer!r}"
        seen.add(layer)
        if problem := _node_problem(node):
            yield f"layer {layer!r}: {problem}"


def no_lego_problems(model: ir.Model) -> Iterator[str]:
    """Say which node or opset import of the Lego domain is there."""
    for node in model.graph.all_nodes():
        if node.domain == lego_op.DOMAIN:
            yield f"node {node.name} is still a {node.op_type}"
    if lego_op.DOMAIN in model.opset_imports:
        yield f"the model still imports domain {lego_op.DOMAIN}"


def output_problems(model: ir.Model) -> Iterator[str]:
    """Say which lowered layer has no result: value ``L/output``, or an output of the model."""
    made_by = {value.name: node for node in model.graph for value in node.outputs}
    results = {value.name for value in model.graph.outputs}
    finished = {names.owner(str(made_by[name].name)) for name in results if name in made_by}
    finished_layers = {one.layer for one in finished if one is not None}
    for layer in dict.fromkeys(_layers(model.graph)):
        if layer not in finished_layers and names.output_name(layer) not in made_by:
            yield f"layer {layer!r}: no node makes {names.output_name(layer)}"


def name_problems(draft: Draft) -> Iterator[str]:
    """Say which node or initializer made for a layer the contract does not name."""
    layer = draft.layer
    seen: set[str] = set()
    made = [node.name for node in draft.nodes] + [value.name for value in draft.initializers]
    for name in map(str, made):
        found = names.owner(name)
        if found is None or found.layer != layer:
            example = names.part_name(layer, "merge", "sum")
            yield f"layer {layer!r}: {name} is not named after it, as {example} is"
        if name in seen:
            yield f"layer {layer!r}: two nodes or initializers are called {name}"
        seen.add(name)


def _layers(graph: ir.Graph) -> Iterator[str]:
    for node in graph:
        found = names.owner(str(node.name))
        if found is not None:
            yield found.layer


def _node_problem(node: ir.Node) -> str | None:
    missing = {"layer", "strides", "pads", "dilations"} - set(node.attributes)
    if missing:
        return f"attribute {', '.join(sorted(missing))} is missing"
    shapes = {}
    for position, (name, rank) in enumerate(TABLE_RANKS.items(), start=1):
        value = node.inputs[position] if position < len(node.inputs) else None
        table = constant_array(value)
        if value is None and name == "bias":
            continue
        if table is None:
            return f"its {name} is not stored in the file"
        if table.ndim != rank:
            return f"its {name} has shape {table.shape}, which is not of rank {rank}"
        shapes[name] = table.shape
    return _shape_problem(shapes, node.inputs[0])


def _shape_problem(shapes: dict[str, tuple[int, ...]], x: ir.Value | None) -> str | None:
    o, n = shapes["index"]
    if shapes["coefficient"] != (o, n):
        return f"its coefficient has shape {shapes['coefficient']}, its index {(o, n)}"
    if shapes.get("bias", (n,)) != (n,):
        return f"its bias has shape {shapes['bias']} for {n} outputs"
    channels = x.shape[1] if x is not None and x.shape is not None else None
    if isinstance(channels, int) and channels != o * shapes["lego"][1]:
        return f"{channels} channels enter {o} fragments of {shapes['lego'][1]}"
    return None

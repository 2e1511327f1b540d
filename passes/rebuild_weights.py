"""Let a file compute again what another tool has folded into it.

    W stored, n*c*kh*kw numbers   ->   bank, index, coefficient stored;  W = Mul(Gather(...), ...)

Gather, Concat and Mul expand the banks that a converted file stores once; a tool that folds
constants stores what comes of them in their place. The file that the tool was given still has the
nodes, and W is a function of constants alone: putting its nodes and its constants in the place of W
changes no number as long as they compute W to the bit, which whoever calls this pass has to hold.
All other nodes stay as the tool left them, in the order of that file as far as it has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx_ir as ir

from legoexport.passes.conditions import ensure, require
from legoexport.passes.constants import adopt_constant, copy_of, is_same


class RebuildWeights(ir.passes.InPlacePass):
    """Replace initializers by the nodes and the constants of another model.

    Declines initializers that the model does not have (any more).

    Args:
        source: The model that has the nodes.
        values: The value of ``source`` that each initializer holds, by the initializer's name.
    """

    def __init__(self, source: ir.Model, values: Mapping[str, str]) -> None:
        super().__init__()
        self.source = source
        self.values = values

    def requires(self, model: ir.Model) -> None:
        """What comes back finds its names free, or taken by the same constants."""
        nodes = nodes_behind(self.source.graph, self._wanted(model).values())
        taken = names_taken(nodes, model.graph, self.values)
        require(self, (f"{name} is another value of the model" for name in sorted(taken)))

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; report whether any initializer was replaced."""
        wanted = self._wanted(model)
        graph = model.graph
        nodes = nodes_behind(self.source.graph, wanted.values())
        folded = {name: graph.initializers.pop(name) for name in wanted}
        made = _copy(nodes, graph)
        for name, value in folded.items():
            ir.convenience.replace_all_uses_with(value, made[wanted[name]])
        if wanted:
            _order(graph, self.source.graph)
        return ir.passes.PassResult(model, modified=bool(wanted))

    def ensures(self, model: ir.Model) -> None:
        """None of the initializers is left."""
        left = self._wanted(model)
        ensure(self, (f"initializer {name} is still stored" for name in left))

    def _wanted(self, model: ir.Model) -> dict[str, str]:
        stored = model.graph.initializers
        return {name: value for name, value in self.values.items() if name in stored}


def nodes_behind(graph: ir.Graph, names: Iterable[str]) -> list[ir.Node]:
    """Return the nodes that compute the values called ``names``, in the order of the graph."""
    wanted = set(names)
    found = []
    for node in reversed(graph):
        if wanted.intersection(str(value.name) for value in node.outputs):
            found.append(node)
            wanted.update(str(value.name) for value in node.inputs if value is not None)
    return found[::-1]


def names_taken(nodes: Iterable[ir.Node], graph: ir.Graph, leaving: Iterable[str]) -> set[str]:
    """Return which names ``nodes`` and their constants have that mean something else in ``graph``.

    Args:
        nodes: Nodes of another graph, with all that compute their inputs.
        graph: Where they are to go.
        leaving: Initializers of ``graph`` that make room.
    """
    own = set(_value_names(graph)) - set(leaving)
    makes = {str(value.name) for node in nodes for value in node.outputs}
    reads = {str(value.name): value for value in _constants(nodes)}
    stored = graph.initializers
    other = {name for name, value in reads.items() if not is_same(stored.get(name), value)}
    labels = {str(node.name) for node in nodes} & {str(node.name) for node in graph} - {""}
    return (own & (makes | other)) | labels


def _value_names(graph: ir.Graph) -> Iterator[str]:
    yield from graph.initializers
    yield from (str(value.name) for value in graph.inputs)
    yield from (str(value.name) for node in graph.all_nodes() for value in node.outputs)


def _constants(nodes: Iterable[ir.Node]) -> Iterator[ir.Value]:
    for node in nodes:
        yield from (value for value in node.inputs if value is not None and value.is_initializer())


def _copy(nodes: Iterable[ir.Node], graph: ir.Graph) -> dict[str, ir.Value]:
    """Add ``nodes`` and their constants to ``graph``; return what they make there by name."""
    made: dict[str, ir.Value] = {}
    for node in nodes:
        inputs = [None if one is None else _input(one, made, graph) for one in node.inputs]
        outputs = [copy_of(value) for value in node.outputs]
        copy = ir.Node(
            node.domain,
            node.op_type,
            inputs,
            node.attributes.values(),
            overload=node.overload,
            outputs=outputs,
            name=node.name,
            doc_string=node.doc_string,
            metadata_props=dict(node.metadata_props),
        )
        graph.append(copy)
        made |= {str(value.name): value for value in outputs}
    return made


def _input(value: ir.Value, made: Mapping[str, ir.Value], graph: ir.Graph) -> ir.Value:
    return made.get(str(value.name)) or adopt_constant(value, graph)


def _order(graph: ir.Graph, source: ir.Graph) -> None:
    """Give ``graph`` the order of ``source``; a node that it has not follows the one before it."""
    places = {str(node.name): place for place, node in enumerate(source) if node.name}
    ranks: dict[ir.Node, int] = {}
    rank = 0
    for node in graph:
        rank = places.get(str(node.name), rank)
        ranks[node] = rank
    graph.remove(ranks)
    graph.extend(sorted(ranks, key=ranks.__getitem__))
    graph.sort()  # what the tool changed may need another one

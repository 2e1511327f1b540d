"""Compute again what a tool computed once and stored: a folded weight becomes its expression.

    W  ->  W = f(B, T)      where a model that holds bank B and tables T computes W, to the bit

Simplifiers fold constants, and so store every copy of a Lego filter that a layer expands its bank
to. ONNX Runtime folds the expression again when it loads the file, so that the speed is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray


class UnfoldBanks(ir.passes.InPlacePass):
    """Replace each initializer that equals a value of ``source``, to the bit, by its expression.

    Declines an initializer that equals none, one that is smaller than what it is computed from, and
    one that equals another which is computed already: an expression has one name.

    Attributes:
        values: What ``source``, the model before it was folded, computes from its initializers
            alone, by name.
        unfolded: Names of the initializers that were replaced.
    """

    def __init__(self, source: ir.Model, values: Mapping[str, NDArray[Any]]) -> None:
        super().__init__()
        self.values = values
        self.unfolded: list[str] = []
        self._computed = {str(value.name): value for value in _values(source.graph)}
        self._by_content = {_content(array): name for name, array in values.items()}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; report whether anything was replaced."""
        graft = _Graft(model.graph)
        for folded in graft.stored():
            name, origin = str(folded.name), self._origin(folded)
            if origin is None or origin in graft.named:
                continue
            if graft.bytes_of(origin) < _bytes(folded):
                graft.replace(folded, origin)
                self.unfolded.append(name)
        return ir.passes.PassResult(model, modified=bool(self.unfolded))

    def _origin(self, folded: ir.Value) -> ir.Value | None:
        """Return the value of ``source`` that an initializer equals: of its name, if it does."""
        if folded.const_value is None or folded.is_graph_output():
            return None
        name, content = str(folded.name), _content(folded.const_value.numpy())
        by_name = name in self.values and _content(self.values[name]) == content
        found = name if by_name else self._by_content.get(content)
        return None if found is None else self._computed[found]


class _Graft:
    """Copies expressions of one graph into another, before their first reader, each value once."""

    def __init__(self, target: ir.Graph) -> None:
        self.target = target
        self.named: set[ir.Value] = set()
        self.copies: dict[ir.Value, ir.Value] = {}
        self.nodes: list[ir.Node] = []
        self.taken = {value.name for value in _values(target)}
        self.positions = {node: position for position, node in enumerate(target)}

    def stored(self) -> list[ir.Value]:
        """Return the initializers that nodes read, in the order of their first readers."""
        read = [one for one in self.target.initializers.values() if one.uses()]
        return sorted(read, key=lambda one: self.positions[self._first_reader(one)])

    def _first_reader(self, value: ir.Value) -> ir.Node:
        return min((use.node for use in value.uses()), key=self.positions.__getitem__)

    def bytes_of(self, value: ir.Value) -> int:
        """Bytes of the initializers that an expression still needs."""
        needed, waiting = set[ir.Value](), [value]
        while waiting:
            one = waiting.pop()
            if one in needed or one in self.copies:
                continue
            needed.add(one)
            node = one.producer()
            waiting.extend(read for read in (node.inputs if node else ()) if read is not None)
        return sum(map(_bytes, needed))

    def replace(self, folded: ir.Value, origin: ir.Value) -> None:
        """Let everything that reads ``folded`` read a copy of ``origin``, under the same name."""
        name, reader = str(folded.name), self._first_reader(folded)
        copy = self._copy(origin)
        folded.replace_all_uses_with(copy)
        self.target.initializers.pop(name)
        copy.name = name
        self.named.add(origin)
        self.target.insert_before(reader, self.nodes)
        self.nodes = []

    def _copy(self, value: ir.Value) -> ir.Value:
        if value not in self.copies:
            node = value.producer()
            if node is None:
                self.copies[value] = self._initializer(value)
            else:
                self._copy_node(node)
        return self.copies[value]

    def _copy_node(self, node: ir.Node) -> None:
        inputs = [None if read is None else self._copy(read) for read in node.inputs]
        outputs = [
            ir.Value(name=self._free(str(one.name)), shape=one.shape, type=one.type)
            for one in node.outputs
        ]
        self.copies.update(zip(node.outputs, outputs, strict=True))
        self.nodes.append(
            ir.Node(
                *(node.domain, node.op_type, inputs, list(node.attributes.values())),
                outputs=outputs,
                name=node.name,
            )
        )

    def _initializer(self, value: ir.Value) -> ir.Value:
        copy = ir.val(self._free(str(value.name)), const_value=value.const_value)
        self.target.register_initializer(copy)
        return copy

    def _free(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self.taken:
            count += 1
            candidate = f"{name}#{count}"
        self.taken.add(candidate)
        return candidate


def _bytes(value: ir.Value) -> int:
    return 0 if value.const_value is None else value.const_value.nbytes


def _content(array: NDArray[Any]) -> tuple[str, tuple[int, ...], bytes]:
    return array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes()


def _values(graph: ir.Graph) -> list[ir.Value]:
    outputs = [value for node in graph for value in node.outputs]
    return [*graph.inputs, *graph.initializers.values(), *outputs]

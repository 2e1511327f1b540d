"""Reading and replacing the constants that a node takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.errors import UsageError


def constant_array(value: ir.Value | None) -> NDArray[Any] | None:
    """Return what ``value`` holds if it is an initializer or a Constant node's output."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def known_array(value: ir.Value | None) -> NDArray[Any]:
    """Return what ``value`` holds.

    Raises:
        UsageError: It is computed.
    """
    array = constant_array(value)
    if array is None:
        raise UsageError(f"value {value and value.name} must be a constant")
    return array


def is_same(value: ir.Value | None, other: ir.Value | None) -> bool:
    """Return whether both hold constants that are equal to the bit."""
    array, counterpart = constant_array(value), constant_array(other)
    if array is None or counterpart is None:
        return False
    is_alike = array.dtype == counterpart.dtype and array.shape == counterpart.shape
    return is_alike and array.tobytes() == counterpart.tobytes()


def input_of(node: ir.Node, position: int) -> ir.Value:
    """Return input ``position`` of ``node``.

    Raises:
        UsageError: It has none there.
    """
    value = node.inputs[position] if position < len(node.inputs) else None
    if value is None:
        raise UsageError(f"node {node.name} has no input {position}")
    return value


def set_constant(node: ir.Node, position: int, name: str, array: NDArray[Any]) -> None:
    """Make input ``position`` of ``node`` an initializer holding ``array``.

    The initializer it read before leaves the graph if nothing else reads it; ``name`` is made
    unique where something else still does.
    """
    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise UsageError(f"node {node.name} is not in a graph")
    if position >= len(node.inputs):
        node.resize_inputs(position + 1)
    old = node.inputs[position]
    value = ir.Value(
        name=None,
        const_value=ir.tensor(array),
        shape=ir.Shape(array.shape),
        type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
    )
    node.replace_input_with(position, value)
    drop_unused_initializers([old])
    value.name = unique_name(name, graph)
    graph.initializers[value.name] = value


def drop_unused_initializers(values: Sequence[ir.Value | None]) -> None:
    """Remove those of ``values`` that are initializers nothing reads any more, from their graph."""
    for value in values:
        if value is None or value.uses() or value.is_graph_output():
            continue
        if value.is_initializer() and value.graph is not None:
            value.graph.initializers.pop(str(value.name))


def unique_name(name: str, graph: ir.Graph) -> str:
    """Return ``name``, with a number behind it if an initializer is called so already."""
    candidate, count = name, 1
    while candidate in graph.initializers:
        count += 1
        candidate = f"{name}#{count}"
    return candidate


def add_constant(name: str, array: NDArray[Any], graph: ir.Graph) -> ir.Value:
    """Add an initializer; ``name`` is made unique."""
    value = ir.val(unique_name(name, graph), const_value=ir.tensor(array))
    graph.register_initializer(value)
    return value


def adopt_constant(value: ir.Value, graph: ir.Graph) -> ir.Value:
    """Return the initializer of ``graph`` called as a constant of another; add it if missing."""
    name = str(value.name)
    if name not in graph.initializers:
        graph.register_initializer(copy_of(value))
    return graph.initializers[name]


def copy_of(value: ir.Value) -> ir.Value:
    """Return a value with the name, shape, type and constant of one, that belongs to no graph."""
    return ir.Value(
        name=value.name, shape=value.shape, type=value.type, const_value=value.const_value
    )

"""Hold banks and dense weights as short codes, and compute the weights when a session is made.

    W  ->  Mul(Cast(codes, to = float32), scale)        W[r] = scale[r] * code[r]

ONNX Runtime folds Cast and Mul of constants (seen with 1.16.3 and 1.32), so the network runs on the
same nodes and at the same speed as with W in the file. It does not fold DequantizeLinear of a
constant, which therefore is no way to write this. onnxsim would expand it: this is the last pass.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.lego.names import codes_name, owner, part_name, scale_name
from legoexport.lego.storage import Encoded, Store, recover_weight

WEIGHT_OPS = ("Conv", "Gemm", "MatMul")


class StoreWeights(ir.passes.InPlacePass):
    """Encode every weight that loses nothing by it beyond the rounding of one product.

    The weights were rounded before the network was exported, so each of them has codes; a batch
    norm that was folded in since has scaled whole rows. Declines what has no codes, such as
    coefficients, tables of a Winograd transform and weights that were not rounded.

    Args:
        store: ``fp16`` or ``int8``; ``fp32`` changes nothing.
    """

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; report whether anything is stored in another way."""
        weights = [value for value in model.graph.initializers.values() if _is_weight(value)]
        changed = [self._encode(value, model.graph) for value in weights]
        return ir.passes.PassResult(model, modified=any(changed))

    def _encode(self, value: ir.Value, graph: ir.Graph) -> bool:
        tensor = value.const_value
        if self.store == "fp32" or tensor is None or tensor.dtype != ir.DataType.FLOAT:
            return False
        found = recover_weight(tensor.numpy(), self.store)
        if found is not None:
            _replace(value, *found, graph)
        return found is not None


def _is_weight(value: ir.Value) -> bool:
    """Whether a dense layer multiplies by it, or a Lego layer makes its weights of it."""
    return not value.is_graph_output() and any(
        owner(str(use.node.name)) or (use.node.op_type in WEIGHT_OPS and use.idx == 1)
        for use in value.uses()
    )


def _replace(value: ir.Value, encoded: Encoded, axis: int, graph: ir.Graph) -> None:
    name = str(value.name)
    codes = encoded.codes if axis == 0 else np.ascontiguousarray(encoded.codes.T)
    scale_shape = [-1 if i == axis else 1 for i in range(codes.ndim)]
    readers = [node for node, _ in value.uses()]
    del graph.initializers[name]
    cast = ir.node(
        "Cast",
        [_initializer(codes_name(name), codes, graph)],
        {"to": ir.DataType.FLOAT},
        name=_node_name(name, readers, "cast"),
    )
    cast.outputs[0].name = cast.name
    scale = _initializer(scale_name(name), encoded.scale.reshape(scale_shape), graph)
    scaled = ir.Value(name=name, shape=value.shape, type=value.type)
    mul = ir.node(
        "Mul", [cast.outputs[0], scale], outputs=[scaled], name=_node_name(name, readers, "scale")
    )
    value.replace_all_uses_with(scaled)
    graph.insert_before(graph[0], [cast, mul])


def _initializer(name: str, array: NDArray[np.generic], graph: ir.Graph) -> ir.Value:
    # A layer that computes in integers may read the codes of a bank already.
    if name not in graph.initializers:
        graph.register_initializer(ir.val(name, const_value=ir.tensor(array, name=name)))
    return graph.initializers[name]


def _node_name(weight: str, readers: list[ir.Node], what: str) -> str:
    """Name a node after the first Lego layer that reads the weight, or after the weight itself."""
    owners = [found for reader in readers if (found := owner(str(reader.name)))]
    if owners:
        return part_name(owners[0].layer, "weights", f"stored_{what}:{weight}")
    return f"{weight}_{what}"

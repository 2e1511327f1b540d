"""DenseForm: a Lego layer as the one dense convolution it equals, in float64.

The yardstick for a layer: unlike tables, it is the same before and after a pass that reorders or
drops Lego filters, and batch norm folds into it by its definition::

    s = scale / sqrt(var + eps)
    W[n] *= s[n]      bias[n] = (bias[n] - mean[n]) * s[n] + shift[n]
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.lego.frozen import FrozenLego
from legoexport.passes.constants import constant_array

Array = NDArray[np.float64]

# Folding computes in float64 and stores in float32: one rounding an entry, and the fragments'
# products share the coefficient's.
FLOAT32_EPSILON = float(np.finfo(np.float32).eps)
STATISTICS = slice(1, 5)


@dataclass(frozen=True, eq=False)
class DenseForm:
    """A dense convolution.

    Attributes:
        weight: ``(n, c, kh, kw)`` float64.
        bias: ``(n,)`` float64.
        o: Number of fragments that the input channels fall into.
        stride: ``(vertical, horizontal)`` in pixels.
        padding: Zeros on ``(each vertical side, each horizontal side)`` in pixels.
        dilation: ``(vertical, horizontal)`` in pixels.
    """

    weight: Array
    bias: Array
    o: int
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @classmethod
    def of(cls, frozen: FrozenLego) -> DenseForm:
        """Assemble the dense weight of a frozen layer."""
        bias = np.zeros(frozen.n) if frozen.bias is None else frozen.bias.astype(np.float64)
        geometry = (frozen.stride, frozen.padding, frozen.dilation)
        return cls(frozen.dense_weight(), bias, frozen.o, *geometry)

    def normalized(self, norms: tuple[ir.Node, ...]) -> DenseForm:
        """Fold BatchNormalization nodes, the one next to the layer first."""
        form = self
        for norm in norms:
            gain, shift, mean, var = _statistics(norm)
            scale = gain / np.sqrt(var + norm.attributes.get_float("epsilon", 1e-5))
            bias = (form.bias - mean) * scale + shift
            form = replace(form, weight=form.weight * scale[:, None, None, None], bias=bias)
        return form

    def differs_from(self, other: DenseForm) -> bool:
        """Return whether any entry is another one than rounding to float32 explains."""
        if self.weight.shape != other.weight.shape:
            return True
        pairs = ((self.weight, other.weight), (self.bias, other.bias))
        return any(
            not np.allclose(a, b, rtol=FLOAT32_EPSILON, atol=np.finfo(np.float32).tiny)
            for a, b in pairs
        )


def batch_norms_after(value: ir.Value) -> tuple[ir.Node, ...]:
    """Return the chain of BatchNormalization nodes that alone read ``value``, nearest first."""
    norms: list[ir.Node] = []
    while not value.is_graph_output() and len(value.uses()) == 1:
        (use,) = value.uses()
        if use.node.op_type != "BatchNormalization" or use.idx != 0 or not _is_constant(use.node):
            break
        norms.append(use.node)
        value = use.node.outputs[0]
    return tuple(norms)


def _is_constant(norm: ir.Node) -> bool:
    return all(constant_array(value) is not None for value in norm.inputs[STATISTICS])


def _statistics(norm: ir.Node) -> list[Array]:
    return [np.asarray(constant_array(value), np.float64) for value in norm.inputs[STATISTICS]]

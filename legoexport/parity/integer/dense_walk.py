"""Check what stands between the Lego layers of a file in int8: dense layers, sums, pools, inputs.

Each from the integers that it really got to those that it gave, as Lego layers are checked. Weights
come from the checkpoint: from the graph before anything in it became an integer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from legoexport.errors import CheckFailed
from legoexport.lego.names import quantized_name
from legoexport.lego.scales import Affine, Scales
from legoexport.parity.integer.arithmetic import ROUNDINGS, Accepted, Reals, settle
from legoexport.parity.integer.check import IntegerAgreement, compare
from legoexport.parity.integer.dense_layer import IntegerDense
from legoexport.parity.integer.nodes import NotComputed, compute, doubt_of, window_of
from legoexport.parity.integer.regions import Region, regions
from legoexport.parity.integer.walk import affine_of

DOMAINS = ("", "ai.onnx")
INPUT_OPERATOR = "QuantizeLinear"
BIAS_INPUT = 2


class DenseWalk:
    """The regions of a file outside of its Lego layers.

    Args:
        model: The converted file.
        unrounded: The same network before anything in it became an integer, its weights rounded.
        scales: The integers of its activations.
        largest_code: The largest integer of a weight.
    """

    def __init__(
        self, model: onnx.ModelProto, unrounded: onnx.ModelProto, scales: Scales, largest_code: int
    ) -> None:
        self.scales, self.largest_code = scales, largest_code
        self.opset = next(one.version for one in model.opset_import if one.domain in DOMAINS)
        self._nodes = {node.name: node for node in unrounded.graph.node}
        self._weights = _constants(unrounded.graph)
        self._constants = _constants(model.graph)
        found = regions(model.graph)
        self.regions = tuple(one for one in found if self._is_checked(one))
        self.floats = tuple(one.value for one in found if one not in self.regions)

    @property
    def names(self) -> tuple[str, ...]:
        """The values that are needed of a run, and that ``check`` takes."""
        left = [one.integers or one.value for one in self.regions]
        entered = [name for one in self.regions for name in one.entering.values()]
        return tuple(dict.fromkeys((*entered, *left)))

    @property
    def weights(self) -> Mapping[str, NDArray[np.float32]]:
        """What the codes of each node that sums them stand for, as the network has its weights."""
        return dict(self._weight(one) for one in self.regions if one.sums)

    def check(self, values: Mapping[str, NDArray[Any]]) -> tuple[IntegerAgreement, ...]:
        """Compare what each region gave in one run with what it should.

        Those with an operator that nothing but a runtime computes are left to ``origin_walk``.

        Args:
            values: Inputs and exposed values of that run, ``(N, ...)``, by name.
        """
        found = []
        for one in self.regions:
            with contextlib.suppress(NotComputed):
                found.append(self._check(one, values))
        return tuple(found)

    def _weight(self, region: Region) -> tuple[str, NDArray[np.float32]]:
        (node,), (entered,) = region.sums, region.entering.values()
        dense, _ = self._dense(node, entered)
        is_transposed = node.op_type == "Gemm" and not _attribute(self._nodes[node.name], "transB")
        return node.name, dense.weight.T if is_transposed else dense.weight

    def _is_checked(self, region: Region) -> bool:
        """Whether it sums no weights, or does nothing else, on integers."""
        if not region.sums:
            return region.integers is not None
        is_integer = all(name.endswith(quantized_name("")) for name in region.entering.values())
        return len(region.nodes) == 1 and is_integer

    def _check(self, region: Region, values: Mapping[str, NDArray[Any]]) -> IntegerAgreement:
        operator = region.nodes[-1].op_type if region.nodes else INPUT_OPERATOR
        if region.integers is None:
            expected, actual = self._sums(region, values)
        elif region.sums:
            (entered,) = region.entering.values()
            dense, x = self._dense(region.sums[0], entered)
            expected = dense.expected(values[entered], x, self._affine(region.integers))
            actual = values[region.integers]
        else:
            y = self._affine(region.integers)
            expected, actual = self._combined(region, values, y), values[region.integers]
        return compare(region.value, operator, expected, actual)

    def _sums(
        self, region: Region, values: Mapping[str, NDArray[Any]]
    ) -> tuple[Accepted, NDArray[np.int64]]:
        """Return the integer sums behind numbers that leave the graph, and those it gave."""
        (entered,) = region.entering.values()
        dense, x = self._dense(region.sums[0], entered)
        sums, bias_doubt = dense.sums(values[entered], x)
        doubt = np.ceil(ROUNDINGS * np.abs(sums) + bias_doubt).astype(np.int64)
        unit = (x.scale * dense.scale.astype(np.float64)).reshape(-1, *[1] * (sums.ndim - 2))
        actual = np.rint(values[region.value] / unit).astype(np.int64)
        # Below 2**22 units, float32 keeps every sum apart from its neighbours.
        small = ROUNDINGS * np.abs(sums) < 1 / 2
        doubt = np.where(small & (bias_doubt == 0), 0, doubt)
        return Accepted(sums, sums - doubt, sums + doubt), actual

    def _combined(self, region: Region, values: Mapping[str, NDArray[Any]], y: Affine) -> Accepted:
        entered = [self._reals(name, values) for name in region.entering.values()]
        known: dict[str, NDArray[Any]] = dict(zip(region.entering, entered, strict=True))
        for node in region.nodes:
            inputs = [_wide(known.get(name, self._constants.get(name))) for name in node.input]
            known |= zip(node.output, compute(node, inputs, self.opset), strict=True)
        steps = np.asarray(known[region.value], np.float64) / y.scale
        if not region.nodes:  # one quotient in float32
            return settle(steps, ROUNDINGS * np.abs(steps), y)
        return settle(steps, doubt_of(steps, entered, y.scale), y)

    def _reals(self, name: str, values: Mapping[str, NDArray[Any]]) -> Reals:
        """Return the numbers that integers stand for; a graph input is numbers already."""
        numbers: Reals = values[name].astype(np.float64)
        if not name.endswith(quantized_name("")):
            return numbers
        affine = self._affine(name)
        return (numbers - affine.zero_point) * affine.scale

    def _affine(self, integers: str) -> Affine:
        return affine_of(self.scales, integers)

    def _dense(self, node: onnx.NodeProto, entered: str) -> tuple[IntegerDense, Affine]:
        """Return the integers of a layer, from its weights in the checkpoint, and its input's."""
        x, before = self._affine(entered), self._nodes.get(node.name)
        if before is None:
            raise CheckFailed(f"node {node.name} is not in the network of the checkpoint")
        weight = self._weights[before.input[1]]
        if node.op_type == "Gemm" and not _attribute(before, "transB"):
            weight = weight.T
        has_bias = len(before.input) > BIAS_INPUT and before.input[BIAS_INPUT]
        bias = self._weights[before.input[BIAS_INPUT]] if has_bias else np.zeros(len(weight))
        window = window_of(node, weight.shape[2:]) if node.op_type == "Conv" else None
        reals = bias.astype(np.float64).reshape(-1)
        return IntegerDense.of(weight, reals, window, x, self.largest_code), x


def _attribute(node: onnx.NodeProto, name: str) -> int:
    found: Sequence[int] = [
        helper.get_attribute_value(one) for one in node.attribute if one.name == name
    ]
    return found[0] if found else 0


def _wide(array: NDArray[Any] | None) -> NDArray[Any] | None:
    """Return floats as float64: constants are float32, and so is what a Cast makes."""
    return array if array is None or array.dtype.kind != "f" else array.astype(np.float64)


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    return {one.name: numpy_helper.to_array(one) for one in graph.initializer}

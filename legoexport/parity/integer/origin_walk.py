"""Check how the values of a file in int8 follow from each other: each once more, in float.

Layers are proved from the integers that the file gives them. Whether the network has those there,
the graph of the file cannot tell. So the network before anything in it became an integer gives
every value again, from the numbers that the integers before it really stood for::

    |f(values before) / scale - (integer - zero point)| <= 1 step

An output in float may be off as far as it moves where each integer before it is a step up or down.
f is what that network has between the values that the file rounds to integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from legoexport.errors import CheckFailed
from legoexport.lego.names import quantized_name
from legoexport.lego.scales import Scales
from legoexport.ort.subgraph import run_between
from legoexport.parity.inputs import SEED
from legoexport.parity.integer.arithmetic import ROUNDINGS, settle
from legoexport.parity.integer.check import IntegerAgreement, compare, within_limits
from legoexport.parity.integer.ends import FileEnds
from legoexport.passes import lego_op
from legoexport.passes.int8_nodes import clamp_after
from legoexport.passes.lower_lego import lower_alike
from legoexport.passes.resize_pixels import PREFIX as RESIZE

LOWERING = "dense"
# Sums in float32, and biases that are rounded to integers, move a value by far less than half a
# step; one that is not the value that belongs there is many steps off.
DOUBT_STEPS = 0.5
# What sums in float32 may be off, as a share of the largest output.
FLOAT_RATIO = 1e-5
Values = Mapping[str, NDArray[Any]]


class OriginWalk:
    """The values of a file, as its checkpoint lets them follow from each other.

    Those that a Lego layer computes in integers are proved by the layer: it is held to the names
    of what enters and leaves it. Outputs of integers are not compared: ties fall to either side.

    Args:
        unrounded: The network before anything in it became an integer, with the weights that its
            codes stand for.
        scales: The integers of the file's activations.
        layers: For each Lego layer that computes in integers, those that enter it and those that
            leave it in the file.
        ends: What the file has in the place of the network's input and scores.

    Raises:
        CheckFailed: The file rounds a value that the network does not have, or a Lego layer reads
            or gives other integers than in the network.
    """

    def __init__(
        self,
        unrounded: onnx.ModelProto,
        scales: Scales,
        layers: Mapping[str, tuple[str, str]],
        ends: FileEnds,
    ) -> None:
        model = ir.from_proto(unrounded)
        right = {node.layer: _integers_around(node) for node in lego_op.find(model.graph)}
        _require_equal({layer: right.get(layer) for layer in layers}, dict(layers))
        lower_alike(model, LOWERING)
        self._model, self._ends = ir.to_proto(model), ends
        # What scales a picture rounds to integers too; the ends are checked by themselves.
        rounded = {
            name: affine
            for name, affine in scales.activations.items()
            if not name.startswith(f"{RESIZE}/")
        }
        self._rounded, graph = rounded, self._model.graph
        self._input = graph.input[0].name
        self._made = {name: node.op_type for node in graph.node for name in node.output}
        known = [name for name in rounded if name in self._made or name == self._input]
        _require_equal(known, list(rounded))
        by_layers = {leaving for _, leaving in layers.values()}
        self._integers = [
            name for name in rounded if name in self._made and quantized_name(name) not in by_layers
        ]
        floats = [one.name for one in graph.output if _is_float(one) and one.name not in rounded]
        self._floats = {name: self._in_file(name) for name in floats}

    @property
    def names(self) -> tuple[str, ...]:
        """The values that are needed of a run, and that ``check`` takes."""
        return (*map(quantized_name, self._rounded), *self._floats.values())

    def check(self, values: Values) -> tuple[IntegerAgreement, ...]:
        """Compare what each value was in one run with what follows from those before it.

        Args:
            values: Inputs, outputs and exposed values of that run, ``(N, ...)``, by name.
        """
        given = {name: self._numbers(name, values) for name in self._rounded}
        if self._input not in given:
            given[self._input] = self._ends.tensor(values, self._input)
        found = run_between(self._model, given, [*self._integers, *self._floats])
        moved = run_between(self._model, self._moved(given), list(self._floats))
        return (
            *(self._compare(name, found[name], values) for name in self._integers),
            *(self._measure(name, found[name], moved[name], values) for name in self._floats),
        )

    def _moved(self, given: Values) -> Values:
        """Return the same, but each number that integers stand for a step higher or lower."""
        rng, moved = np.random.default_rng(SEED), dict(given)
        for name, affine in self._rounded.items():
            up_or_down = rng.choice(np.array([-1, 1], np.float32), given[name].shape)
            moved[name] = given[name] + np.float32(affine.scale) * up_or_down
        return moved

    def _numbers(self, name: str, values: Values) -> NDArray[np.float32]:
        """Return what the integers of a value stand for, as DequantizeLinear gives it."""
        affine = self._rounded[name]
        integers = values[quantized_name(name)].astype(np.int32) - affine.zero_point
        return integers.astype(np.float32) * np.float32(affine.scale)

    def _compare(self, name: str, found: NDArray[Any], values: Values) -> IntegerAgreement:
        affine = self._rounded[name]
        steps = found.astype(np.float64) / affine.scale
        right = settle(steps, DOUBT_STEPS + ROUNDINGS * np.abs(steps), affine)
        agreement = compare(name, self._made[name], right, values[quantized_name(name)])
        return replace(agreement, ties_count=0)  # the doubt is that of the check

    def _measure(
        self, name: str, found: NDArray[Any], moved: NDArray[Any], values: Values
    ) -> IntegerAgreement:
        limit = float(np.abs(moved - found).max()) + FLOAT_RATIO * float(np.abs(found).max())
        beyond = np.abs(values[self._floats[name]] - found) / (limit or 1.0)
        return within_limits(name, self._made[name], beyond)

    def _in_file(self, output: str) -> str:
        """Return what the file calls an output of the network, of which classes may follow."""
        return output if self._ends.scores is None else self._ends.scores


def with_weights(
    network: onnx.ModelProto, weights: Mapping[str, NDArray[np.float32]]
) -> onnx.ModelProto:
    """Return a network with other weights in some nodes, by the names of these.

    What is too small to be worth a scale in a file, or stands beside a large bias, has coarser
    weights in integers than the network was given.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(network)
    for node in changed.graph.node:
        if node.name in weights:
            node.input[1] = f"{node.name}/{node.input[1]}"
            tensor = numpy_helper.from_array(weights[node.name], node.input[1])
            changed.graph.initializer.append(tensor)
    return changed


def _integers_around(node: lego_op.LegoNode) -> tuple[str, str]:
    """Return what the integers that enter a Lego layer, and those that leave it, are called."""
    clamp = clamp_after(node.y)
    leaving = node.y if clamp is None else clamp.outputs[0]
    entering, left = (quantized_name(lego_op.final_name(one)) for one in (node.x, leaving))
    return entering, left


def _require_equal(right: object, found: object) -> None:
    if right != found:
        raise CheckFailed(
            "integers of the file do not stand where the network has them",
            received=found,
            legal=right,
            next_step="report this with the plan (--save-plan)",
        )


def _is_float(output: onnx.ValueInfoProto) -> bool:
    return bool(output.type.tensor_type.elem_type == TensorProto.FLOAT)

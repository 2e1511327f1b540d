"""Walk all that computes in an int8 file in one run: Lego layers and what stands between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from legoexport.compile.read_scales import read_scales
from legoexport.errors import CheckFailed, UsageError
from legoexport.lego.file_facts import read_facts
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.layer_records import read_layers
from legoexport.lego.scales import ActivationType
from legoexport.lego.storage import LARGEST_CODE, IntegerStore
from legoexport.parity.integer.check import IntegerAgreement
from legoexport.parity.integer.dense_walk import DenseWalk
from legoexport.parity.integer.ends import FileEnds
from legoexport.parity.integer.origin_walk import OriginWalk, with_weights
from legoexport.parity.integer.walk import LegoWalk, exact_kernels, run_exposed
from legoexport.passes.lowerings import INT8_LOWERINGS


@dataclass(frozen=True)
class IntegerGraph:
    """A file in int8, and what its checkpoint makes of it.

    Attributes:
        model: The file.
        layers: Its Lego layers before they are lowered.
        unrounded: The network before anything in it became an integer; None if it does not compile.
        rebuilt: The file that the checkpoint gives here: how values follow from each other is read
            from it. None where ``model`` is that file.
    """

    model: onnx.ModelProto
    layers: Mapping[str, FrozenLego]
    unrounded: onnx.ModelProto | None
    rebuilt: onnx.ModelProto | None = None


@dataclass(frozen=True)
class Walked:
    """How the integers of one run compare with the right ones.

    Attributes:
        lego: An entry for each Lego layer that computes in integers, in the order of the graph.
        between: One for all else that gives integers, or sums of them, or classes.
        origin: One for each of those values as it follows from the ones before it in float.
    """

    lego: tuple[IntegerAgreement, ...]
    between: tuple[IntegerAgreement, ...]
    origin: tuple[IntegerAgreement, ...]

    @property
    def layers(self) -> tuple[IntegerAgreement, ...]:
        """All of them."""
        return (*self.lego, *self.between)

    def causes(self, allowed_steps: int) -> tuple[str, ...]:
        """A sentence on the first Lego layer and the first other node beyond ``allowed_steps``.

        Where all of them are right, one on the first value that does not follow from others.
        """
        wrong = (*_first(self.lego, allowed_steps), *_first(self.between, allowed_steps))
        unrelated = () if wrong else _first(self.origin, allowed_steps)
        return (
            *(f"first at fault: {one}" for one in wrong),
            *(f"first that does not follow from the values before it: {one}" for one in unrelated),
        )


def _first(part: Sequence[IntegerAgreement], allowed_steps: int) -> tuple[IntegerAgreement, ...]:
    return tuple(one for one in part if not one.within(allowed_steps))[:1]


class FileWalk:
    """All that is checked of a file, wherever it runs.

    Args:
        graph: The file and its checkpoint.

    Raises:
        UsageError: The file does not say how large its codes are.
        CheckFailed: Integers that leave a layer are not in it, or other values than the network's
            are.
    """

    def __init__(self, graph: IntegerGraph) -> None:
        self._model = graph.model
        # What the file says of itself would prove it, whatever it computes.
        right = graph.model if graph.rebuilt is None else graph.rebuilt
        scales, store = read_scales(graph.model), integer_store(right)
        largest = int(LARGEST_CODE[store])
        self.kernels: ActivationType | None = exact_kernels(scales, store)
        self._lego = LegoWalk(right, graph.layers, scales, largest)
        self._between = (
            None if graph.unrounded is None else DenseWalk(right, graph.unrounded, scales, largest)
        )
        self._ends = FileEnds.of(right)
        self._origin: OriginWalk | None = None
        _check_values(graph.model, right, self.names)
        if graph.unrounded is not None and self._between is not None:
            network = with_weights(graph.unrounded, self._between.weights)
            self._origin = OriginWalk(network, scales, self._lego.ends, self._ends)
        records = read_layers(right) or ()
        lego_floats = any(one.lowering not in INT8_LOWERINGS for one in records)
        self._sums_floats = lego_floats or bool(self._between and self._between.floats)

    @property
    def names(self) -> tuple[str, ...]:
        """The values that are needed of a run, and that ``check`` takes."""
        between = self._between.names if self._between else ()
        origin = self._origin.names if self._origin else ()
        return tuple(dict.fromkeys((*self._lego.names, *between, *self._ends.names, *origin)))

    def run(self, images: NDArray[Any], threads: int) -> Walked:
        """Run the file in this process, by kernels that do not overflow here, and check it.

        Args:
            images: Inputs as the file takes them, ``(N, ...)``; a few of them are used.
            threads: Threads of ONNX Runtime.

        Raises:
            CheckFailed: A node or its integers are not those of the network, or the file does not
                run as it is, or gives other outputs then.
        """
        exposed = self._run(self.names, images, threads)
        walked = self.check(exposed)
        self._check_as_it_is(exposed, self._run((), images, threads))
        return walked

    def _run(
        self, names: Sequence[str], images: NDArray[Any], threads: int
    ) -> Mapping[str, NDArray[Any]]:
        return run_exposed(self._model, names, self.kernels, images, threads)

    def _check_as_it_is(
        self, exposed: Mapping[str, NDArray[Any]], plain: Mapping[str, NDArray[Any]]
    ) -> None:
        """Integers that are exposed keep the runtime from rewrites that users get."""
        wrong = [name for name, one in plain.items() if not np.array_equal(one, exposed[name])]
        if wrong and not self._sums_floats:
            raise CheckFailed(
                "the file gives other outputs than with its integers exposed: what was walked is"
                " not what users run",
                received=", ".join(wrong),
                legal="equal outputs, as no sum of weights is in float",
                next_step="report this with the plan (--save-plan) and the version of onnxruntime",
            )

    def check(self, values: Mapping[str, NDArray[Any]]) -> Walked:
        """Compare what each layer gave in one run with what it should.

        Args:
            values: Inputs and exposed values of that run, ``(N, ...)``, by name.

        Raises:
            CheckFailed: A node or its integers are not those of the network.
        """
        between = self._between.check(values) if self._between else ()
        origin = self._origin.check(values) if self._origin else ()
        return Walked(self._lego.check(values), (*between, *self._ends.check(values)), origin)


def _check_values(model: onnx.ModelProto, right: onnx.ModelProto, names: Sequence[str]) -> None:
    """Hold what a file computes, by name, to what the checkpoint gives.

    Raises:
        CheckFailed: It lacks a value, rounds others to integers, or has other outputs.
    """
    made = {name for node in model.graph.node for name in node.output}
    made.update(one.name for one in model.graph.input)
    missing = [name for name in names if name not in made]
    rounded = [set(read_scales(one).activations) for one in (model, right)]
    outputs = [[one.name for one in graph.output] for graph in (model.graph, right.graph)]
    if missing or rounded[0] != rounded[1] or outputs[0] != outputs[1]:
        other = sorted(rounded[0] ^ rounded[1])
        raise CheckFailed(
            "the file computes other values than the checkpoint gives",
            received=f"no {missing}, outputs {outputs[0]}, rounded on one side only: {other}",
            legal=f"outputs {outputs[1]}, and the same values rounded to integers",
            next_step="convert the checkpoint again",
        )


def integer_store(model: onnx.ModelProto) -> IntegerStore:
    """Return how large the codes of a file are.

    Raises:
        UsageError: It says that it holds no codes.
    """
    store = read_facts(model).store
    if store not in ("int8", "int7"):
        raise UsageError(
            "legoexport.store in the model's metadata is damaged",
            received=store,
            legal="int8 or int7 in a file that computes in int8",
        )
    return store

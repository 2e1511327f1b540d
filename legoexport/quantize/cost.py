"""What rounding costs: the network as it was trained against the file, by layers and as a whole.

Whether the file computes what it is meant to is another question, which parity answers.

A layer is measured by itself, on what enters it (x) and leaves it (y) in the trained network::

    weights alone      y against the layer with the weights of the file, for x in float
    activations alone  y against the layer with trained weights, x and y rounded to their integers
    both               y against the layer of the file as it stands, for x rounded to its integers

Errors upstream have no part in it. What leaves is meant behind the Relu or the Clip that follows;
a value that has no integers in the file is not rounded. SQNR is the power of y over that of the
change, over all images together. Both can cost less than one part alone, as errors cancel, or more:
the integers of intermediate maps show in both alone. A file that only stores its weights in fewer
bits has no integers: what it costs is weights alone, and both are the same.

Nothing here depends on the integer kernels of this machine, which may overflow where those of the
target do not: between its roundings, a file is computed in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray

from legoexport.compile.stages import Prepared
from legoexport.passes.lowerings import INT8_LOWERINGS
from legoexport.passes.plan import Plan
from legoexport.quantize.float_network import FloatNetwork, LayerPlace
from legoexport.quantize.integer_file import IntegerFile
from legoexport.quantize.layer_probe import LayerProbe, Totals
from legoexport.quantize.scores_cost import ScoresCost, TrainedScores

# A map of a layer holds thousands of numbers, so a few images tell what rounding them costs.
LAYER_IMAGES = 8


class Lowered(Protocol):
    """A file, and the plan that it was lowered with."""

    @property
    def model(self) -> onnx.ModelProto:
        """The file."""
        ...

    @property
    def plan(self) -> Plan:
        """The lowering of each layer."""
        ...


@dataclass(frozen=True)
class LayerCost:
    """What rounding costs a layer that sums weights.

    Attributes:
        layer: What a plan calls it: the dotted name of a Lego layer, the node of a dense one.
        module: The torch module that it comes from; empty if that is not known.
        computes: Whether the file computes it in integers.
        lowering: How, if it is a Lego layer; else its operator.
        sqnr_weights_db: SQNR by its weights alone, in dB; None if nothing changed.
        sqnr_activations_db: SQNR by activations alone, in dB; None if nothing changed.
        sqnr_both_db: SQNR by both, in dB; None if nothing changed.
        low: The smallest number that the integers of its output reach; None if it stays float.
        high: The largest; None if it stays float.
        clipped_ratio: Share of its output that lies beyond, by more than rounding brings back;
            None if it stays float.
    """

    layer: str
    module: str
    computes: Literal["int8", "fp32"]
    lowering: str
    sqnr_weights_db: float | None
    sqnr_activations_db: float | None
    sqnr_both_db: float | None
    low: float | None
    high: float | None
    clipped_ratio: float | None


@dataclass(frozen=True)
class RoundingCost:
    """The whole bill.

    Attributes:
        layers: One entry for each layer that sums weights, in the order of the graph.
        scores: One entry for each set of inputs.
    """

    layers: tuple[LayerCost, ...]
    scores: tuple[ScoresCost, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def rounding_cost(
    trained: Prepared,
    file: Lowered,
    images: Sequence[NDArray[Any]],
    scores: TrainedScores,
    files: Mapping[str, bytes],
    *,
    threads: int = 1,
) -> RoundingCost:
    """Measure a file against the network that was trained.

    Args:
        trained: The trained network, as ``prepare_trained`` gives it.
        file: The file.
        images: ``(N, ...)`` for each input; the layers are measured on the first few.
        scores: What the trained network gives.
        files: It again, and others to compare it with such as its dense twin, by what they are.
        threads: Threads of ONNX Runtime.
    """
    layers = layer_costs(trained, file, images, threads=threads)
    return RoundingCost(layers, scores.cost(files))


def layer_costs(
    trained: Prepared, file: Lowered, images: Sequence[NDArray[Any]], *, threads: int = 1
) -> tuple[LayerCost, ...]:
    """Measure each layer by itself; the arguments are those of ``rounding_cost``."""
    network, opened = FloatNetwork(trained, threads), IntegerFile(file.model, threads)
    count = network.batch_size * max(1, LAYER_IMAGES // network.batch_size)
    probes: list[LayerProbe] = []
    totals: list[Totals] = []
    for values in network.run([array[:count] for array in images]):
        if not probes:
            probes = [
                LayerProbe(one, network, opened, values[one.x].shape) for one in network.places
            ]
            totals = [np.zeros(()) for _ in probes]
        totals = [
            total + probe.measure(values) for total, probe in zip(totals, probes, strict=True)
        ]
    return tuple(
        _layer_cost(probe, total, _how(probe.place, file.plan, opened))
        for probe, total in zip(probes, totals, strict=True)
    )


def _how(place: LayerPlace, plan: Plan, file: IntegerFile) -> tuple[bool, str]:
    """Whether the file computes a layer in integers, and how it does."""
    lowering = plan.lowerings.get(place.layer)
    if lowering is not None:
        return lowering in INT8_LOWERINGS, lowering
    return file.reads_codes(place.layer), place.operator


def _layer_cost(probe: LayerProbe, totals: Totals, how: tuple[bool, str]) -> LayerCost:
    power, weights, activations, both, clipped, count = totals.tolist()
    in_int8, lowering = how
    affine = probe.y.affine if probe.y else None
    return LayerCost(
        layer=probe.place.layer,
        module=probe.place.module,
        computes="int8" if in_int8 else "fp32",
        lowering=lowering,
        sqnr_weights_db=_ratio_db(power, weights),
        sqnr_activations_db=_ratio_db(power, activations),
        sqnr_both_db=_ratio_db(power, both),
        low=affine.low if affine else None,
        high=affine.high if affine else None,
        clipped_ratio=clipped / count if affine else None,
    )


def _ratio_db(power: float, change: float) -> float | None:
    return float(10 * np.log10(power / change)) if power and change else None

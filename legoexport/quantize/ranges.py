"""Ranges: what calibration has seen of a network, and the scales that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from legoexport.compile.stages import Prepared
from legoexport.errors import UsageError
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.scales import ActivationType, Affine, Scales
from legoexport.passes import lego_op
from legoexport.passes.integers import bank_codes

# A map that stays this far below the largest of its layer is noise: it needs no finer integers.
LEAST_SHARE_OF_LAYER = 1e-6
POSITIVE = (float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max))


@dataclass(frozen=True, eq=False)
class Ranges:
    """How large the values of a network become.

    Attributes:
        activations: ``(low, high)`` of each activation, by the name of its value in the lowered
            graph.
        maps: For each Lego layer ``(pairs,)`` float32: the largest ``|I[i, j]|`` of each (fragment,
            Lego filter) pair in use, fragment after fragment, in the order of
            ``FrozenLego.selection``.
        clipped: The share of its values that lies outside the range, by activation, 0..1.

    Raises:
        UsageError: A range has no order, or is not finite.
    """

    activations: Mapping[str, tuple[float, float]]
    maps: Mapping[str, NDArray[np.float32]]
    clipped: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("activations", "maps", "clipped"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        for name, (low, high) in self.activations.items():
            if not (low <= high and np.isfinite([low, high]).all()):
                raise UsageError(
                    f"value {name} has no range",
                    received=f"{low}..{high}",
                    legal="finite numbers",
                    next_step="look for NaN in the images and in the checkpoint",
                )


def to_scales(
    ranges: Ranges,
    layers: Mapping[str, FrozenLego],
    bank_scales: Mapping[str, NDArray[np.float32]],
    dtype: ActivationType,
) -> Scales:
    """Return the integers that reach as far as ``ranges`` do.

    Args:
        ranges: What calibration has seen.
        layers: Every Lego layer by name, its unused pairs dropped.
        bank_scales: For each of them ``(m,)``: the scale of the codes of each Lego filter.
        dtype: Type of the activations' integers.

    Raises:
        UsageError: ``ranges`` are those of other layers.
    """
    activations = {
        name: Affine.of_range(low, high, dtype) for name, (low, high) in ranges.activations.items()
    }
    maps = {
        name: _map_scales(name, frozen, bank_scales[name], ranges.maps.get(name))
        for name, frozen in layers.items()
    }
    return Scales(activations, maps)


def network_scales(prepared: Prepared, ranges: Ranges, dtype: ActivationType) -> Scales:
    """Return the scales of a network whose ``ranges`` are known, as ``Prepared.with_scales`` takes.

    Args:
        prepared: The network that was calibrated; its target says how large codes may be.
        ranges: What calibration has seen.
        dtype: Type of the activations' integers.

    Raises:
        UsageError: ``ranges`` are those of another network.
    """
    nodes = list(lego_op.find(prepared.model.graph))
    store = prepared.options.target.codes
    layers = {node.layer: node.frozen for node in nodes}
    return to_scales(
        ranges, layers, {node.layer: bank_codes(node, store).scale for node in nodes}, dtype
    )


def _map_scales(
    layer: str,
    frozen: FrozenLego,
    scale: NDArray[np.float32],
    largest: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    pairs = frozen.selection.pair_count
    if largest is None or largest.shape != (pairs,):
        raise UsageError(
            f"layer {layer}: calibration has seen other maps",
            received=None if largest is None else largest.shape,
            legal=(pairs,),
            next_step="calibrate the network that is converted",
        )
    peak = float(largest.max()) or 1.0
    reach = np.maximum(largest.astype(np.float64), LEAST_SHARE_OF_LAYER * peak)
    reach = np.where(largest.max() > 0, reach, 1.0)
    filters = np.concatenate(frozen.selection.filters)
    return np.clip(scale[filters].astype(np.float64) / reach, *POSITIVE).astype(np.float32)

"""A network that computes in int8, and the trained one it is measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import choose_plan, lower, prepare
from legoexport.compile.stages import Compiled, CompileOptions, Prepared
from legoexport.lego.scales import Affine, Scales
from legoexport.models.round_weights import round_weights
from legoexport.passes.plan import Plan
from legoexport.quantize.calibrate import calibrate
from legoexport.quantize.float_network import prepare_trained
from legoexport.quantize.ranges import network_scales
from legoexport.target import CPU, Target
from runtime_tests.networks import small_net
from runtime_tests.quantize.networks import IMAGE_SHAPE, NETWORKS, images

IMAGES = images(8, seed=3)


@dataclass(frozen=True, eq=False)
class Int8Network:
    """A network before it is lowered.

    Attributes:
        module: As it was trained.
        trained: The same, prepared in float.
        prepared: Its weights rounded, with scales.
        images: ``(N, c, h, w)`` that it was calibrated with.
    """

    module: nn.Module
    trained: Prepared
    prepared: Prepared
    images: NDArray[np.float32]

    @property
    def scales(self) -> Scales:
        assert self.prepared.integers is not None
        return self.prepared.integers.scales

    def lowered(self, plan: Plan | str | None = None) -> Compiled:
        """Lower with a plan, or with one lowering for every layer, or as the target prefers."""
        if isinstance(plan, str):
            plan = Plan({site.layer: plan for site in self.prepared.sites})
        return lower(self.prepared, plan or choose_plan(self.prepared))

    def with_activation(self, name: str, change: Callable[[Affine], Affine]) -> Int8Network:
        """Return it with other integers for one activation."""
        changed = dict(self.scales.activations) | {name: change(self.scales.activations[name])}
        return self.with_scales(Scales(changed, self.scales.maps))

    def with_maps(self, maps: Mapping[str, NDArray[np.float32]]) -> Int8Network:
        """Return it with other scales for the maps of some layers."""
        changed = dict(self.scales.maps) | dict(maps)
        return self.with_scales(Scales(self.scales.activations, changed))

    def with_scales(self, scales: Scales) -> Int8Network:
        return replace(self, prepared=self.prepared.with_scales(scales))


def int8_network(
    module: nn.Module | None = None,
    target: Target = CPU,
    shown: NDArray[np.float32] = IMAGES,
) -> Int8Network:
    """Round, prepare and calibrate a network, a SmallNet if none is given, on images ``shown``."""
    module = (module or small_net()).eval()
    options = CompileOptions(target, precision="int8")
    example = torch.zeros(1, *IMAGE_SHAPE)
    rounded = freeze(round_weights(module, options.final_store), example)
    prepared = prepare(rounded, example, options)
    scales = network_scales(prepared, calibrate(prepared, [shown], "minmax"), target.activations)
    trained = prepare_trained(module, example, options)
    return Int8Network(module, trained, prepared.with_scales(scales), shown)


@cache
def small_int8() -> Int8Network:
    """A SmallNet for target cpu, which any number of tests share: nothing changes it."""
    return int8_network()


@cache
def other_int8(name: str) -> Int8Network:
    """One of ``NETWORKS`` for target cpu."""
    return int8_network(NETWORKS[name]())

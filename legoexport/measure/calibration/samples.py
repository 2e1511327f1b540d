"""The single layers that are timed: each of the cost model's rates decides the time of several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx_ir as ir

from legoexport.lego.frozen import FrozenLego
from legoexport.passes.cost_model import Amounts
from legoexport.passes.lowerings import INT8_LOWERINGS, Site, find_lowering
from legoexport.passes.lowerings.int8.footprint import IntegerWork
from legoexport.passes.one_integer_layer import integer_site, lowered_integer_layer
from legoexport.passes.one_layer import lowered_layer

SEED = 0
FRAGMENTS = 2


@dataclass(frozen=True)
class Sample:
    """A layer with random tables, o = 2 and m = n/2, in one lowering.

    Attributes:
        channels: Maps that enter.
        outputs: Maps that leave, n.
        size: Height and width of all maps, in pixels.
        kernel: Height and width of the filters.
        lowering: Its name.
    """

    channels: int
    outputs: int
    size: int
    kernel: int
    lowering: str

    @property
    def name(self) -> str:
        """What it is called in messages and as a file."""
        shape = f"{self.channels}to{self.outputs}at{self.size}"
        return f"{self.lowering}_{shape}_{self.kernel}x{self.kernel}"

    @property
    def in_integers(self) -> bool:
        """Whether its lowering computes in integers."""
        return self.lowering in INT8_LOWERINGS

    @cached_property
    def site(self) -> Site:
        """The layer."""
        rng, m = np.random.default_rng(SEED), self.outputs // 2
        fragment = (self.channels // FRAGMENTS, self.kernel, self.kernel)
        frozen = FrozenLego(
            lego=rng.standard_normal((m, *fragment)).astype(np.float32),
            index=rng.integers(0, m, (FRAGMENTS, self.outputs)),
            coefficient=rng.standard_normal((FRAGMENTS, self.outputs)).astype(np.float32),
            bias=np.zeros(self.outputs, np.float32),
            padding=(self.kernel // 2, self.kernel // 2),
        )
        site = Site("layer", frozen, (self.size, self.size))
        return integer_site(site) if self.in_integers else site

    @property
    def amounts(self) -> Amounts:
        """What one image asks of the machine in float."""
        return Amounts.of(find_lowering(self.lowering).footprint(self.site))

    @property
    def work(self) -> IntegerWork:
        """What one image asks of the machine in integers."""
        return INT8_LOWERINGS[self.lowering].work(self.site)

    def write(self, folder: Path) -> Path:
        """Write the model to ``folder`` and return its path."""
        path = folder / f"{self.name}.onnx"
        lower = lowered_integer_layer if self.in_integers else lowered_layer
        ir.save(lower(self.site, self.lowering), path)
        return path


# A few milliseconds at most, so that some runs fit between whatever else the machine does.
SAMPLES = (
    # mostly multiplying
    Sample(128, 128, 28, 3, "dense"),
    Sample(128, 128, 28, 3, "grouped_dense_merge"),
    Sample(256, 256, 14, 3, "grouped"),
    Sample(512, 256, 14, 1, "dense"),
    # mostly moving
    Sample(256, 128, 28, 1, "grouped"),
    Sample(32, 256, 28, 1, "grouped"),
    Sample(64, 128, 28, 3, "fragment_batch"),
    Sample(128, 128, 28, 3, "winograd_rows_7"),
    Sample(256, 256, 14, 3, "winograd_rows_7_batch"),
    Sample(128, 128, 28, 3, "winograd_tiles_4"),
    Sample(256, 256, 14, 3, "winograd_tiles_4_batch"),
    # more than the caches hold
    Sample(16, 64, 112, 1, "grouped"),
    Sample(32, 64, 112, 3, "grouped_dense_merge"),
    Sample(32, 64, 112, 3, "winograd_rows_7"),
    Sample(96, 96, 56, 3, "winograd_tiles_4"),
    # mostly starting nodes
    Sample(16, 16, 8, 3, "winograd_rows_4"),
    Sample(16, 16, 8, 3, "winograd_tiles_4"),
    # in integers, mostly multiplying
    Sample(128, 128, 28, 3, "int8_dense"),
    Sample(512, 256, 14, 1, "int8_dense"),
    Sample(256, 256, 14, 3, "int8_per_fragment"),
    # the same in groups
    Sample(256, 256, 14, 3, "int8_grouped"),
    Sample(512, 256, 14, 1, "int8_grouped"),
    # mostly rounding sums
    Sample(32, 256, 28, 1, "int8_dense"),
    Sample(64, 256, 28, 1, "int8_per_fragment"),
    # mostly copying
    Sample(32, 16, 28, 3, "int8_grouped"),
    Sample(256, 32, 28, 1, "int8_per_fragment"),
    # mostly starting nodes
    Sample(16, 16, 8, 3, "int8_per_fragment"),
)

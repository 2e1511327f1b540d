"""Single Lego layers of known networks, and their models in every lowering, for the benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from legoexport.lego.frozen import FrozenLego
from legoexport.lego.scales import PRECISIONS, Precision
from legoexport.passes.lowerings import INT8_LOWERINGS, LOWERINGS, Site, find_lowering
from legoexport.passes.one_integer_layer import integer_site, lowered_integer_layer
from legoexport.passes.one_layer import lowered_layer

WORKER = Path(__file__).parent / "workers" / "layer.py"
LONGEST_RUN_S = 120
SEED = 0
# (input channels, output channels, size, kernel): VGG16, ResNet-50 and MobileNet.
LAYERS = [
    (64, 64, 224, 3), (64, 128, 112, 3), (128, 128, 112, 3), (256, 256, 56, 3),
    (512, 512, 28, 3), (512, 512, 14, 3), (64, 64, 56, 3), (128, 128, 28, 3), (256, 256, 14, 3),
    (512, 512, 7, 3), (512, 512, 4, 3), (64, 256, 56, 1), (512, 128, 28, 1), (1024, 256, 14, 1),
    (1024, 512, 14, 1), (512, 2048, 7, 1), (512, 512, 14, 1),
]  # fmt: skip


@dataclass(frozen=True)
class LayerCase:
    """A layer with random tables.

    Attributes:
        channels: Maps that enter.
        outputs: Maps that leave, n.
        size: Height and width of all maps, in pixels.
        kernel: Height and width of the filters.
        fragments: Fragments of the input, o.
        ratio: Lego filters per output, m / n.
    """

    channels: int
    outputs: int
    size: int
    kernel: int
    fragments: int = 2
    ratio: float = 0.5

    @property
    def name(self) -> str:
        """What it is called where it is printed."""
        return f"{self.channels}->{self.outputs}@{self.size} {self.kernel}x{self.kernel}"

    @cached_property
    def frozen(self) -> FrozenLego:
        """Its tables."""
        rng, m, o = np.random.default_rng(SEED), int(self.outputs * self.ratio), self.fragments
        shape = (m, self.channels // o, self.kernel, self.kernel)
        gain = 1 / np.sqrt(self.channels * self.kernel**2)
        return FrozenLego(
            lego=(gain * rng.standard_normal(shape)).astype(np.float32),
            index=rng.integers(0, m, (o, self.outputs)),
            coefficient=rng.standard_normal((o, self.outputs)).astype(np.float32),
            bias=np.zeros(self.outputs, np.float32),
            padding=(self.kernel // 2, self.kernel // 2),
        )

    @property
    def site(self) -> Site:
        """The layer in float."""
        return Site("layer", self.frozen, (self.size, self.size))

    @property
    def integer_site(self) -> Site:
        """The layer in integers."""
        return integer_site(self.site)

    def forms(self, precisions: Iterable[Precision] = PRECISIONS) -> Mapping[str, Site]:
        """Return the sites that the lowerings of ``precisions`` serve, by their names."""
        sites: dict[str, Site] = {}
        for precision in precisions:
            names, site = (
                (LOWERINGS, self.site)
                if precision == "fp32"
                else (INT8_LOWERINGS, self.integer_site)
            )
            able = (name for name in names if find_lowering(name).declines(site) is None)
            sites |= dict.fromkeys(able, site)
        return sites


def cases(banks: Sequence[tuple[int, float]]) -> list[LayerCase]:
    """Return each of ``LAYERS`` with each bank ``(o, m / n)``, the largest layers first."""
    found = [LayerCase(*layer, *bank) for bank in banks for layer in LAYERS]
    return sorted(found, key=lambda case: -find_lowering("dense").footprint(case.site).macs)


def write_model(site: Site, lowering: str, path: Path) -> None:
    """Write the layer of ``site`` in ``lowering``: from floats to floats, or integers to those."""
    lower = lowered_integer_layer if lowering in INT8_LOWERINGS else lowered_layer
    ir.save(lower(site, lowering), path)


def time_model(path: Path, threads: int, seconds: float) -> dict[str, Any]:
    """Time a model in a process of its own and return what the worker says.

    Raises:
        CalledProcessError: This ONNX Runtime cannot run it.
    """
    options = ["--threads", str(threads), "--seconds", str(seconds)]
    done = subprocess.run(  # noqa: S603 - our own file
        [sys.executable, str(WORKER), str(path), *options],
        check=True,
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_S,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found

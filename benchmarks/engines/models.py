"""The files that every engine is given: four networks for each target, and their dense twins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.files import source_fingerprint
from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.deliver.dense_twin import convert_dense_twin
from legoexport.models.registry import build, input_shape
from legoexport.target import TARGETS
from runtime_tests.networks import randomize

SEED = 0
BATCH = 1
SMALL: dict[str, object] = {"classes": 10, "input_size": 32}
NETWORKS: dict[str, tuple[str, dict[str, object]]] = {
    "digits": ("lego_digits", {}),
    "VGG16@32": ("lego_vgg16", SMALL),
    "ResNet-50@32": ("lego_resnet50", SMALL),
    "MobileNet@32": ("lego_mobilenet", SMALL),
}
# The plan of cpu-vnni differs from that of cpu in int8 alone.
MADE_FOR = tuple(name for name in TARGETS if name != "cpu-vnni")


@dataclass(frozen=True)
class Case:
    """A file and what it has to give.

    Attributes:
        network: Name of the network.
        target: What it is made for; None for the dense twin.
        folder: Where the files of the network are.
    """

    network: str
    target: str | None
    folder: Path

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder / f"{self.target or 'dense'}.onnx"

    @property
    def images(self) -> Path:
        """Where its input is, ``(batch, c, h, w)`` float32."""
        return self.folder / "images.npy"

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """What PyTorch gives in float64."""
        return np.asarray(np.load(self.folder / "scores.npy"))


def cases(build_folder: Path, networks: Iterable[str]) -> Iterator[Case]:
    """Yield the files, a network after the other, its dense twin first.

    They are written once and kept as long as nothing changes that they are made by.
    """
    for network in networks:
        folder = build_folder / f"files-{source_fingerprint()}" / NETWORKS[network][0]
        made = [Case(network, target, folder) for target in (None, *MADE_FOR)]
        if not all(case.path.exists() for case in made):
            _make(made, folder)
        yield from made


def _make(made: Iterable[Case], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    arch, arguments = NETWORKS[next(iter(made)).network]
    torch.manual_seed(SEED)
    module = randomize(build(arch, **arguments)).eval()
    shape = (BATCH, *input_shape(arch, arguments))
    x = np.random.default_rng(SEED).standard_normal(shape).astype(np.float32)
    np.save(folder / "images.npy", x)
    np.save(folder / "scores.npy", _scores(module, x))
    for case in made:
        case.path.write_bytes(_file(module, torch.zeros(shape), case.target))


def _scores(module: nn.Module, x: NDArray[np.float32]) -> NDArray[np.float64]:
    with torch.no_grad():
        scores = module.double()(torch.from_numpy(x).double()).numpy()
    module.float()
    return np.asarray(scores)


def _file(module: nn.Module, example: torch.Tensor, target: str | None) -> bytes:
    """Make the file; its batch is fixed, which every engine takes."""
    options = CompileOptions(TARGETS[target or "cpu"], dynamic_batch=False)
    if target is None:
        return convert_dense_twin(module, example, options)
    return convert_module(module, example, options).model_bytes

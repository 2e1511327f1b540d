"""Turn a trained dense network into a LegoNet: fit it, calibrate it, count what it gets right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from legoexport.errors import CheckpointError, UsageError
from legoexport.models.blocks import LegoRecipe
from legoexport.models.fitting.calibrate import recalibrate
from legoexport.models.fitting.cluster import FitOptions
from legoexport.models.fitting.layer import LayerFit
from legoexport.models.fitting.network import fit_network
from legoexport.models.registry import ARCHITECTURES, build

if TYPE_CHECKING:
    from legoexport.models.checkpoint import Checkpoint
    from legoexport.training.data.images import ImageData

Progress = Callable[[str], None]
# Statistics of a channel over this many pictures are known to about 1 %.
CALIBRATION_COUNT = 2048


@dataclass(frozen=True)
class CorrectCounts:
    """Held-out pictures that each network classifies correctly.

    Attributes:
        images_count: Pictures shown to each.
        dense_count: Right in the dense network.
        lego_count: Right in the fitted LegoNet, before any training.
    """

    images_count: int
    dense_count: int
    lego_count: int

    @property
    def dense_accuracy(self) -> float:
        """Share that the dense network gets right."""
        return self.dense_count / self.images_count

    @property
    def lego_accuracy(self) -> float:
        """Share that the LegoNet gets right."""
        return self.lego_count / self.images_count


@dataclass(frozen=True)
class FromDense:
    """A LegoNet fitted to a dense network.

    Attributes:
        module: The LegoNet, in eval mode.
        arch: Its registry name.
        hyperparameters: What it was built with.
        fits: How well each Lego layer came out.
        batch_norms_count: Batch norms in the network.
        correct: What it classifies correctly, if pictures were given. Batch norms then have the
            statistics of the training pictures; otherwise they keep the dense network's.
    """

    module: nn.Module
    arch: str
    hyperparameters: Mapping[str, object]
    fits: tuple[LayerFit, ...]
    batch_norms_count: int
    correct: CorrectCounts | None


def from_dense(
    dense: Checkpoint,
    recipe: LegoRecipe,
    *,
    data: ImageData | None = None,
    options: FitOptions | None = None,
    progress: Progress = lambda _: None,
) -> FromDense:
    """Fit a LegoNet to a dense network of a registered architecture.

    Args:
        dense: The trained network, read with ``dense=True``.
        recipe: How the Lego layers are cut.
        data: Training pictures calibrate batch norm (their labels are not used); held-out
            pictures are classified.
        options: How long to look for good banks.
        progress: Called with each step before it starts.

    Raises:
        CheckpointError: The network comes from the user's own code and cannot be built again with
            Lego layers.
        UsageError: The recipe does not fit the network, or the pictures do not.
    """
    arch, hyperparameters = _twin(dense, recipe)
    lego = build(arch, **hyperparameters).eval()
    _check_pictures(dense, data)
    fits = fit_network(lego, dense.module, options, progress)
    correct = None
    if data is not None:
        progress("calibrating batch norm")
        recalibrate(lego, _calibration_images(data))
        correct = _count(dense.module, lego, data, progress)
    norms_count = sum(isinstance(each, nn.BatchNorm2d) for each in lego.modules())
    return FromDense(lego, arch, hyperparameters, fits, norms_count, correct)


def _twin(dense: Checkpoint, recipe: LegoRecipe) -> tuple[str, dict[str, object]]:
    if dense.arch not in ARCHITECTURES:
        raise CheckpointError(
            f"{dense.path}: a network of your own code cannot be built again with Lego layers",
            received=dense.arch,
            legal=", ".join(name for name, each in ARCHITECTURES.items() if not each.is_lego),
            next_step="in Python: legofy(network, ...), then fit_network(lego, network)",
        )
    settings = {"o": recipe.o, "m_ratio": recipe.m_ratio, "coefficients": recipe.coefficients}
    return ARCHITECTURES[dense.arch].twin, {**dense.hyperparameters, **settings}


def _check_pictures(dense: Checkpoint, data: ImageData | None) -> None:
    if data is not None and data.input_shape != dense.input_shape:
        raise UsageError(
            "the pictures do not fit the network",
            received=data.input_shape,
            legal=dense.input_shape,
        )


def _calibration_images(data: ImageData) -> Tensor:
    generator = torch.Generator().manual_seed(0)  # sources may be sorted by class
    order = torch.randperm(len(data.train_images), generator=generator)
    return data.normalised(data.train_images[order[:CALIBRATION_COUNT]])


def _count(dense: nn.Module, lego: nn.Module, data: ImageData, progress: Progress) -> CorrectCounts:
    from legoexport.training.evaluate import count_correct  # noqa: PLC0415 - needed with data only

    progress("counting what is classified correctly")
    dense_count, lego_count = (count_correct(each, data) for each in (dense, lego))
    return CorrectCounts(len(data.test_labels), dense_count, lego_count)

"""Draw a fitted LegoNet towards the outputs of the dense network, on training pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from legoexport.errors import UsageError
from legoexport.host.progress import Progress
from legoexport.models.fitting.calibrate import recalibrate
from legoexport.models.fitting.distill import DistillOptions, distill, draw_batches
from legoexport.models.fitting.layer import LayerFit, relative_error
from legoexport.models.fitting.layer_outputs import LayerOptions, OutputFit
from legoexport.models.fitting.outputs import fit_outputs
from legoexport.models.lego_conv import LegoConv2d
from legoexport.training.data.images import ImageData

# Statistics of a channel over this many pictures are known to about 1 %.
CALIBRATION_COUNT = 2048
# One value has no variance.
FEWEST_IMAGES = 2
WEIGHTS, OUTPUTS = "weights", "outputs"


@dataclass(frozen=True)
class OutputOptions:
    """How long a network is drawn towards the outputs of the dense one.

    Attributes:
        layers: The fit of each layer. Batch norm is calibrated with as many pictures, if it says
            how many.
        whole: The fit of the scores after it.
    """

    layers: LayerOptions = field(default_factory=LayerOptions)
    whole: DistillOptions = field(default_factory=DistillOptions)


def choose_target(to: str | None, *, has_data: bool) -> str:
    """Return what is fitted: as asked, or outputs where there are pictures and weights otherwise.

    Raises:
        UsageError: Something else, or outputs without pictures.
    """
    if to is None:
        return OUTPUTS if has_data else WEIGHTS
    if to not in {WEIGHTS, OUTPUTS}:
        raise UsageError("what is fitted", received=to, legal=f"{WEIGHTS}, {OUTPUTS}")
    if to == OUTPUTS and not has_data:
        raise UsageError(
            "outputs are fitted on pictures", received="none", next_step="give --data SOURCE"
        )
    return to


def statistics_count(data: ImageData, to: str, options: LayerOptions) -> int:
    """Return how many training pictures layers and batch norm are read on.

    Args:
        data: The pictures.
        to: What is fitted.
        options: How many are asked for, if a number is.

    Raises:
        UsageError: There are not so many, or those are too few.
    """
    available, (_, height, width) = len(data.train_images), data.input_shape
    if options.images_count is None:
        most = options.images_at_a_time(height, width) if to == OUTPUTS else CALIBRATION_COUNT
        return min(most, available)
    if not FEWEST_IMAGES <= options.images_count <= available:
        raise UsageError(
            "--pictures: statistics are taken of training pictures",
            received=options.images_count,
            legal=f"{FEWEST_IMAGES} to {available}, which is all that --data has",
            next_step="leave --pictures out, or name a source with more",
        )
    return options.images_count


def fit_to_outputs(
    lego: nn.Module,
    dense: nn.Module,
    data: ImageData,
    options: OutputOptions,
    progress: Progress = lambda _: None,
) -> tuple[OutputFit, ...]:
    """Fit layer by layer, then the scores, in place; batch norms are calibrated.

    Args:
        lego: The network that ``fit_network`` filled, in eval mode.
        dense: The trained network, in eval mode, on the same device.
        data: Training pictures on that device; their labels are not used.
        options: How long.
        progress: Called with the name of each step before it starts.

    Returns:
        How well the layers came out, before the scores were fitted.
    """
    fits = fit_layers(lego, dense, data, options.layers, progress)
    if options.whole.steps_count:
        count = options.layers.images_count or CALIBRATION_COUNT
        draw_scores_together(lego, dense, data, options.whole, progress, images_count=count)
    return fits


def fit_layers(
    lego: nn.Module,
    dense: nn.Module,
    data: ImageData,
    options: LayerOptions,
    progress: Progress = lambda _: None,
) -> tuple[OutputFit, ...]:
    """Fit layer by layer, as ``fit_to_outputs`` does first."""
    images = some_images(data, statistics_count(data, OUTPUTS, options), options.seed)
    return fit_outputs(lego, dense, images, options, progress)


def draw_scores_together(
    lego: nn.Module,
    dense: nn.Module,
    data: ImageData,
    options: DistillOptions,
    progress: Progress = lambda _: None,
    *,
    images_count: int = CALIBRATION_COUNT,
) -> None:
    """Fit the scores and calibrate batch norm, as ``fit_to_outputs`` does last."""
    device = data.train_images.device
    order = draw_batches(len(data.train_images), options)
    batches = (data.normalised(data.train_images[index.to(device)]) for index in order)
    distill(lego, dense, batches, options, progress)
    progress("calibrating batch norm")
    recalibrate(lego, some_images(data, images_count))


@dataclass(frozen=True)
class SomeImages:
    """Training pictures in some order; a part is prepared when it is asked for.

    Attributes:
        data: All pictures.
        order: ``(N,)`` int64, which of them.
    """

    data: ImageData
    order: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, c, h, w)``."""
        return len(self.order), *self.data.input_shape

    @property
    def together(self) -> Tensor:
        """All of them, prepared."""
        return next(self.tensor_split(1))

    def tensor_split(self, sections: int, /) -> Iterator[Tensor]:
        """Yield parts whose sizes differ by one at most, prepared."""
        for part in self.order.tensor_split(sections):
            yield self.data.normalised(self.data.train_images[part])


def some_images(data: ImageData, most: int, seed: int = 0) -> SomeImages:
    """Return up to ``most`` training pictures; sources may be sorted by class."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.train_images), generator=generator)[:most]
    return SomeImages(data, order.to(data.train_images.device))


def described_again(fit: LayerFit, lego: nn.Module, dense: nn.Module) -> LayerFit:
    """Return what became of a layer since its weights were fitted."""
    layer, weight = lego.get_submodule(fit.layer), dense.get_submodule(fit.layer).weight
    assert isinstance(layer, LegoConv2d)  # noqa: S101 - it was fitted before
    assert isinstance(weight, Tensor)  # noqa: S101
    uses = torch.bincount(layer.choices().flatten(), minlength=layer.m)
    error = relative_error(weight.detach(), layer.weight().detach())
    return replace(fit, unused_filters_count=int((uses == 0).sum()), relative_error_ratio=error)

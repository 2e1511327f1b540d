"""Draw a fitted LegoNet towards the outputs of the dense network, on training pictures."""

from __future__ import annotations

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
FEWEST_IMAGES = 256
WEIGHTS, OUTPUTS = "weights", "outputs"


@dataclass(frozen=True)
class OutputOptions:
    """How long a network is drawn towards the outputs of the dense one.

    Attributes:
        layers: The fit of each layer.
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
        draw_scores_together(lego, dense, data, options.whole, progress)
    return fits


def fit_layers(
    lego: nn.Module,
    dense: nn.Module,
    data: ImageData,
    options: LayerOptions,
    progress: Progress = lambda _: None,
) -> tuple[OutputFit, ...]:
    """Fit layer by layer, as ``fit_to_outputs`` does first."""
    _, height, width = data.input_shape
    affordable = max(FEWEST_IMAGES, options.pixels_count // (height * width))
    images = some_images(data, min(options.images_count, affordable), options.seed)
    return fit_outputs(lego, dense, images, options, progress)


def draw_scores_together(
    lego: nn.Module,
    dense: nn.Module,
    data: ImageData,
    options: DistillOptions,
    progress: Progress = lambda _: None,
) -> None:
    """Fit the scores and calibrate batch norm, as ``fit_to_outputs`` does last."""
    device = data.train_images.device
    order = draw_batches(len(data.train_images), options)
    batches = (data.normalised(data.train_images[index.to(device)]) for index in order)
    distill(lego, dense, batches, options, progress)
    progress("calibrating batch norm")
    recalibrate(lego, some_images(data, CALIBRATION_COUNT))


def some_images(data: ImageData, most: int, seed: int = 0) -> Tensor:
    """Return up to ``most`` training pictures, prepared; sources may be sorted by class."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.train_images), generator=generator)[:most]
    return data.normalised(data.train_images[order.to(data.train_images.device)])


def described_again(fit: LayerFit, lego: nn.Module, dense: nn.Module) -> LayerFit:
    """Return what became of a layer since its weights were fitted."""
    layer, weight = lego.get_submodule(fit.layer), dense.get_submodule(fit.layer).weight
    assert isinstance(layer, LegoConv2d)  # noqa: S101 - it was fitted before
    assert isinstance(weight, Tensor)  # noqa: S101
    uses = torch.bincount(layer.choices().flatten(), minlength=layer.m)
    error = relative_error(weight.detach(), layer.weight().detach())
    return replace(fit, unused_filters_count=int((uses == 0).sum()), relative_error_ratio=error)

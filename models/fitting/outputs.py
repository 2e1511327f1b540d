"""A LegoNet fitted to the outputs of a dense network, layer by layer from the input on.

The LegoNet runs once, on all pictures at a time. When a Lego layer is reached, everything before it
is fitted already and its input is what it will really get. The layer is fitted to what the dense
layer gives on clean input, so that it also makes good what the layers before it got wrong. A batch
norm that is reached takes the statistics of its input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from legoexport.host.progress import Progress
from legoexport.models.fitting.dense_outputs import DenseOutputs, read_outputs
from legoexport.models.fitting.layer_outputs import LayerOptions, OutputFit, fit_layer_outputs
from legoexport.models.fitting.output_error import output_error
from legoexport.models.fitting.positions import Positions
from legoexport.models.lego_conv import LegoConv2d


@torch.no_grad()
def fit_outputs(
    lego: nn.Module,
    dense: nn.Module,
    images: Tensor,
    options: LayerOptions | None = None,
    progress: Progress = lambda _: None,
) -> tuple[OutputFit, ...]:
    """Fit every Lego layer of ``lego``, in place.

    Args:
        lego: The network that ``fit_network`` filled, in eval mode.
        dense: The trained network, in eval mode, on the same device.
        images: ``(N, c, h, w)``, prepared as for training; labels are not needed.
        options: How long.
        progress: Called with the name of each layer before it is fitted.

    Returns:
        How well each Lego layer came out, in the order in which the network calls them. A layer
        that it does not call stays as it is.
    """
    options = options or LayerOptions()
    positions = Positions(len(images), options.positions_count, options.seed)
    layers = {name: each for name, each in lego.named_modules() if isinstance(each, LegoConv2d)}
    progress("reading the outputs of the dense network")
    outputs = read_outputs(dense, layers, images, positions)
    walk = _Walk(dense, outputs, positions, options, progress)
    handles = [each.register_forward_pre_hook(walk.layer(name)) for name, each in layers.items()]
    norms = [each for each in lego.modules() if isinstance(each, nn.BatchNorm2d)]
    handles += [each.register_forward_pre_hook(take_statistics) for each in norms]
    try:
        lego(images)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(walk.fits.values())


def take_statistics(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    """Give a batch norm the mean and variance of its input."""
    if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
        assert norm.running_var is not None  # noqa: S101 - torch has both or none
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


@dataclass(frozen=True)
class _Walk:
    dense: nn.Module
    outputs: DenseOutputs
    positions: Positions
    options: LayerOptions
    progress: Progress
    fits: dict[str, OutputFit] = field(default_factory=dict)

    def layer(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def reached(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if isinstance(layer, LegoConv2d) and name not in self.fits:
                self.progress(f"fitting {name} to its outputs")
                self.fits[name] = self._fit(layer, name, inputs[0])

        return reached

    def _fit(self, layer: LegoConv2d, name: str, maps: Tensor) -> OutputFit:
        weight, wanted = self.dense.get_submodule(name).weight, self.outputs.values[name]
        assert isinstance(weight, Tensor)  # noqa: S101 - fit_network found a convolution
        patches = self.positions.patches(layer, maps)
        norm = self.outputs.norms.get(name)
        shifts = norm is not None or layer.bias is not None
        error = output_error(patches, wanted, _importance(norm, wanted), centred=shifts)
        result = fit_layer_outputs(layer, error, weight, name, self.options)
        if layer.bias is not None:
            layer.bias.copy_(wanted.mean(0) - layer.weight().flatten(1) @ patches.mean(0))
        return result


def _importance(norm: nn.BatchNorm2d | None, wanted: Tensor) -> Tensor:
    """Squared scale that the batch norm gives each output, ``(n,)``; 1 where there is none."""
    if norm is None or norm.running_var is None:
        return torch.ones_like(wanted[0])
    scale = torch.ones_like(norm.running_var) if norm.weight is None else norm.weight
    return scale.square() / (norm.running_var + norm.eps)

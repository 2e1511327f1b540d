"""A LegoNet fitted to the outputs of a dense network, layer by layer from the input on.

The LegoNet runs once. When a Lego layer is reached, everything before it is fitted already and its
input is what it will really get. The layer is fitted to what the dense layer gives on clean input,
so that it also makes good what the layers before it got wrong. A batch norm that is reached takes
the statistics of its input.

More pictures than may run at a time come in parts. The run on the first waits in every Lego layer
and batch norm until each of the others has run up to there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from legoexport.host.progress import Progress
from legoexport.models.fitting.dense_outputs import DenseOutputs, read_outputs
from legoexport.models.fitting.layer_outputs import LayerOptions, OutputFit, fit_layer_outputs
from legoexport.models.fitting.output_error import output_error
from legoexport.models.fitting.parts import Forerunner, Parts, Pictures, statistics
from legoexport.models.fitting.positions import Positions
from legoexport.models.lego_conv import LegoConv2d


@torch.no_grad()
def fit_outputs(
    lego: nn.Module,
    dense: nn.Module,
    images: Pictures,
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

    Raises:
        UsageError: The pictures come in parts, and the network does not do the same for all.
    """
    options = options or LayerOptions()
    images_count, _, height, width = images.shape
    parts = Parts(images, -(-images_count // options.images_at_a_time(height, width)))
    positions = Positions(images_count, options.positions_count, options.seed)
    layers = {name: each for name, each in lego.named_modules() if isinstance(each, LegoConv2d)}
    progress("reading the outputs of the dense network")
    outputs = read_outputs(dense, layers, parts, positions)
    walk = _Walk(lego, parts, _Fitter(dense, outputs, positions, options), progress)
    walk.run({layer: name for name, layer in layers.items()})
    return tuple(walk.fits.values())


@dataclass(frozen=True)
class _Fitter:
    dense: nn.Module
    outputs: DenseOutputs
    positions: Positions
    options: LayerOptions

    def fit(self, layer: LegoConv2d, name: str, inputs: Iterable[Tensor]) -> OutputFit:
        weight, wanted = self.dense.get_submodule(name).weight, self.outputs.values[name]
        assert isinstance(weight, Tensor)  # noqa: S101 - fit_network found a convolution
        patches = self._patches(layer, inputs)
        norm = self.outputs.norms.get(name)
        shifts = norm is not None or layer.bias is not None
        error = output_error(patches, wanted, _importance(norm, wanted), centred=shifts)
        result = fit_layer_outputs(layer, error, weight, name, self.options)
        if layer.bias is not None:
            layer.bias.copy_(wanted.mean(0) - layer.weight().flatten(1) @ patches.mean(0))
        return result

    def _patches(self, layer: LegoConv2d, inputs: Iterable[Tensor]) -> Tensor:
        found, first = list[Tensor](), 0
        for maps in inputs:
            found.append(self.positions.patches(layer, maps, first))
            first += len(maps)
        return torch.cat(found)


class _Walk:
    """The run that fits; ``fits`` holds what came out, by the names of the layers."""

    def __init__(self, lego: nn.Module, parts: Parts, fitter: _Fitter, progress: Progress) -> None:
        self.lego, self.parts, self.fitter, self.progress = lego, parts, fitter, progress
        self.forerunner, self.calls = Forerunner(lego), Counter[nn.Module]()
        self.fits: dict[str, OutputFit] = {}

    def run(self, names: dict[LegoConv2d, str]) -> None:
        def reached(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if self.forerunner.passes(module, inputs[0]):
                return
            self.calls[module] += 1
            if isinstance(module, LegoConv2d):
                self._fit(module, names[module], inputs[0])
            elif isinstance(module, nn.BatchNorm2d):
                take_statistics(module, self._everywhere(module, inputs[0]))

        stops = [one for one in self.lego.modules() if isinstance(one, LegoConv2d | nn.BatchNorm2d)]
        handles = [each.register_forward_pre_hook(reached) for each in stops]
        try:
            self.lego(self.parts.first)
        finally:
            for handle in handles:
                handle.remove()

    def _fit(self, layer: LegoConv2d, name: str, maps: Tensor) -> None:
        if name not in self.fits:
            self.progress(f"fitting {name} to its outputs")
            self.fits[name] = self.fitter.fit(layer, name, self._everywhere(layer, maps))

    def _everywhere(self, module: nn.Module, maps: Tensor) -> Iterator[Tensor]:
        yield maps
        for part in self.parts.others:
            yield self.forerunner.input(module, self.calls[module], part)


def take_statistics(norm: nn.BatchNorm2d, inputs: Iterable[Tensor]) -> None:
    """Give a batch norm the mean and variance of its input, part by part."""
    if norm.running_mean is not None:
        assert norm.running_var is not None  # noqa: S101 - torch has both or none
        mean, variance = statistics(inputs)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _importance(norm: nn.BatchNorm2d | None, wanted: Tensor) -> Tensor:
    """Squared scale that the batch norm gives each output, ``(n,)``; 1 where there is none."""
    if norm is None or norm.running_var is None:
        return torch.ones_like(wanted[0])
    scale = torch.ones_like(norm.running_var) if norm.weight is None else norm.weight
    return scale.square() / (norm.running_var + norm.eps)

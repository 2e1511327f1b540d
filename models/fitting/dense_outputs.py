"""What the layers of a dense network give on clean inputs, at some positions of their maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from legoexport.models.fitting.positions import Positions

BATCH_SIZE = 256


@dataclass(frozen=True)
class DenseOutputs:
    """Outputs of convolutions, and which batch norm reads each.

    Attributes:
        values: ``(P, n)`` by layer; layers that were not called are missing.
        norms: The batch norm that reads a layer's output, by layer; missing where none does.
    """

    values: Mapping[str, Tensor]
    norms: Mapping[str, nn.BatchNorm2d]


@torch.no_grad()
def read_outputs(
    dense: nn.Module, names: Iterable[str], parts: Iterable[Tensor], positions: Positions
) -> DenseOutputs:
    """Run a network and keep what its layers give, in its first call where there are several.

    Args:
        dense: The network, in eval mode.
        names: Dotted names of its convolutions.
        parts: Prepared pictures, ``(N, c, h, w)`` each.
        positions: Which positions of the maps to keep.
    """
    reader = _Reader(positions)
    handles = [dense.get_submodule(n).register_forward_hook(reader.layer(n)) for n in names]
    norms = [each for each in dense.modules() if isinstance(each, nn.BatchNorm2d)]
    handles += [each.register_forward_pre_hook(reader.norm) for each in norms]
    try:
        for images in parts:
            for batch in images.split(BATCH_SIZE):  # type: ignore[no-untyped-call]
                dense(batch)
                reader.next_batch(len(batch))
    finally:
        for handle in handles:
            handle.remove()
    values = {name: torch.cat(parts) for name, parts in reader.kept.items()}
    return DenseOutputs(values, reader.norms)


class _Reader:
    def __init__(self, positions: Positions) -> None:
        self.positions, self.first = positions, 0
        self.kept: dict[str, list[Tensor]] = {}
        self.norms: dict[str, nn.BatchNorm2d] = {}
        self._outputs: dict[str, Tensor] = {}

    def layer(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if name not in self._outputs:
                self._outputs[name] = output
                values = self.positions.sample(output, self.first)
                self.kept.setdefault(name, []).append(values)

        return keep

    def norm(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        for name, output in self._outputs.items():
            if output is inputs[0] and isinstance(norm, nn.BatchNorm2d):
                self.norms[name] = norm

    def next_batch(self, images_count: int) -> None:
        self._outputs.clear()
        self.first += images_count

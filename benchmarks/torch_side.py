"""What needs PyTorch: making a network, and exporting it as one would without legoexport.

    python -m benchmarks.torch_side NETWORK_JSON FOLDER

writes ``checkpoint.pt`` and ``naive.onnx``; in a process of its own, so that no thread pool of
PyTorch's is alive while something is measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from legoexport.models.blocks import LegoRecipe, convolution_norm_relu
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.registry import build
from legoexport.models.replace_layers import replace_layers

SEED = 0
OPSET = 18  # the lowest that PyTorch's exporter writes


class PaperForm(nn.Module):
    """A Lego layer computed as the paper draws it, and as its published code runs it.

    Split the input, convolve each fragment with all m Lego filters, and merge with a dense 1x1
    convolution that is mostly zeros: the mask times the coefficients. The merge is a constant here,
    the best that an export of this form can do.

    Args:
        layer: The layer in training form.
    """

    def __init__(self, layer: LegoConv2d) -> None:
        super().__init__()
        self.layer = layer
        merge = F.one_hot(layer.choices(), layer.m).to(layer.lego.dtype)
        if layer.coefficients is not None:
            merge = merge * layer.coefficients.detach()
        for i, fragment_merge in enumerate(merge):
            self.register_buffer(f"merge_{i}", fragment_merge[..., None, None].contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, c, h, w)`` to ``(b, n, h', w')``."""
        layer = self.layer
        parts = [self._part(i, fragment) for i, fragment in enumerate(x.chunk(layer.o, dim=1))]
        total = sum(parts[1:], start=parts[0])
        return total if layer.bias is None else total + layer.bias[:, None, None]

    def _part(self, i: int, fragment: Tensor) -> Tensor:
        layer = self.layer
        sizes = (layer.stride, layer.padding, layer.dilation)
        return F.conv2d(F.conv2d(fragment, layer.lego, None, *sizes), self.get_buffer(f"merge_{i}"))


def one_layer(*, channels: int, o: int, m_ratio: float) -> nn.Module:
    """Build a 3x3 Lego layer with batch norm and activation."""
    return nn.Sequential(*convolution_norm_relu(LegoRecipe(o, m_ratio), channels, channels, 3))


def in_paper_form(module: nn.Module) -> nn.Module:
    """Replace every Lego layer of ``module``, in place, by the form that the paper draws."""
    layers = [layer for layer in module.modules() if isinstance(layer, LegoConv2d)]
    return replace_layers(module, {layer: PaperForm(layer) for layer in layers})


def export_naively(module: nn.Module, image: Tensor, path: Path) -> None:
    """Write what a plain ``torch.onnx.export`` makes of the network in the paper's form."""
    module = in_paper_form(module).eval()
    torch.onnx.export(
        module,
        (image,),
        path,
        input_names=["input"],
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def make(network: dict[str, object], folder: Path) -> None:
    """Build the network, with random weights, and write its two files."""
    torch.manual_seed(SEED)
    arch, arguments = str(network["arch"]), dict(network["hyperparameters"])  # type: ignore[call-overload]
    is_registered = ":" not in arch
    module = build(arch, **arguments) if is_registered else one_layer(**arguments)
    write_checkpoint(folder / "checkpoint.pt", module, arch=arch, hyperparameters=arguments)
    shape = (1, int(str(network["channels"])), *2 * [int(str(network["size"]))])
    if is_registered:
        export_naively(module, torch.zeros(shape), folder / "naive.onnx")


if __name__ == "__main__":
    make(json.loads(sys.argv[1]), Path(sys.argv[2]))

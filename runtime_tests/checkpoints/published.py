"""The published network, restated from its layout, to make the files that its code would save.

A Lego layer cuts its input into o fragments and convolves each with every Lego filter. An output
channel takes one result of each fragment, that where ``aux_combination`` is largest along m, times
its entry of ``aux_coefficients``, and adds them up.
"""

import copy
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

POOL = 0
_DEEP_WIDTHS = (256, 256, 256, POOL, 512, 512, 512, POOL, 512, 512, 512, POOL)
PUBLISHED_WIDTHS = (64, 64, 64, POOL, 128, 128, 128, POOL, *_DEEP_WIDTHS)
PAPER_WIDTHS = (64, 64, POOL, 128, 128, POOL, *_DEEP_WIDTHS)
KERNEL = 3


class LegoConv2d(nn.Module):
    def __init__(self, c: int, n: int, o: int, ratio: float) -> None:
        super().__init__()
        m = int(n * ratio)
        self.in_channels, self.out_channels, self.kernel_size = c, n, KERNEL
        self.n_split, self.basic_channels, self.n_lego = o, c // o, m
        self.lego = nn.Parameter(torch.randn(m, c // o, KERNEL, KERNEL) / c**0.5)
        self.aux_coefficients = nn.Parameter(torch.randn(o, n, m, 1, 1))
        self.aux_combination = nn.Parameter(torch.randn(o, n, m, 1, 1))
        # The published layer keeps its last one-hot mask, a leaf that wants a gradient.
        self.proxy_combination = torch.zeros(o, n, m, 1, 1, requires_grad=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fragments = x[:, : self.n_split * self.basic_channels].chunk(self.n_split, dim=1)
        chosen = self.aux_combination.flatten(2).argmax(2)
        coefficient = self.aux_coefficients.flatten(2).gather(2, chosen[..., None])
        maps = [F.conv2d(fragment, self.lego, padding=KERNEL // 2) for fragment in fragments]
        terms = [
            mapped[:, index] * weight[None, :, :, None]
            for mapped, index, weight in zip(maps, chosen, coefficient, strict=True)
        ]
        return torch.stack(terms).sum(0)


class lego_vgg16(nn.Module):  # noqa: N801 - the name that the files carry
    def __init__(self, widths: Sequence[int], o: int, ratio: float, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*_layers(widths, o, ratio))
        self.classifier = nn.Linear(512, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.features(x).flatten(1))
        return logits


def _layers(widths: Sequence[int], o: int, ratio: float) -> Iterator[nn.Module]:
    c = 3
    for n in widths:
        if n == POOL:
            yield nn.MaxPool2d(2, 2)
            continue
        yield nn.Conv2d(c, n, 3, padding=1) if c == 3 else LegoConv2d(c, n, o, ratio)
        yield from (nn.BatchNorm2d(n), nn.ReLU(inplace=True))
        c = n
    yield nn.AvgPool2d(1, 1)


def published_network(
    *,
    widths: tuple[int, ...] = PUBLISHED_WIDTHS,
    o: int = 8,
    ratio: float = 1 / 32,
    classes: int = 10,
    seed: int = 0,
) -> lego_vgg16:
    """A network of the published code in eval mode, its batch norms trained a little."""
    return copy.deepcopy(_trained(widths, o, ratio, classes, seed))


@cache
def _trained(widths: tuple[int, ...], o: int, ratio: float, classes: int, seed: int) -> lego_vgg16:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = lego_vgg16(widths, o, ratio, classes)
        with torch.no_grad():
            for _step in range(2):
                network(torch.randn(4, 3, 32, 32))
    return network.eval()


@contextmanager
def published_modules() -> Iterator[None]:
    """Let pickle find the classes where the published code has them: in ``vgg`` and ``module``."""
    homes = {"vgg": lego_vgg16, "module": LegoConv2d}
    for name, home in homes.items():
        module = types.ModuleType(name)
        module.__file__ = __file__  # the legacy format saves the source of each class
        setattr(module, home.__name__, home)
        home.__module__ = name
        sys.modules[name] = module
    try:
        yield
    finally:
        for name, home in homes.items():
            del sys.modules[name]
            home.__module__ = __name__


def save_published(value: object, path: Path, *, zipped: bool) -> Path:
    """Save as the published code does, in either format of ``torch.save``."""
    with published_modules():
        torch.save(value, path, _use_new_zipfile_serialization=zipped)
    return path

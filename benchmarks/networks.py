"""What is measured: the networks of the paper, and one layer that grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LAYER_CHANNELS = 128


@dataclass(frozen=True)
class Network:
    """A network with random weights and uniformly random masks; latency depends on neither.

    Attributes:
        name: Name of its folder.
        title: Title in tables.
        arch: Registry name, or ``package.module:factory``.
        hyperparameters: Arguments that build it.
        channels: Input channels.
        size: Height and width of its images in pixels.
    """

    name: str
    title: str
    arch: str
    hyperparameters: Mapping[str, object] = field(hash=False)
    channels: int
    size: int

    @property
    def is_registered(self) -> bool:
        """Whether the product knows it by name."""
        return ":" not in self.arch


def _network(
    name: str, title: str, arch: str, *, size: int, o: int, m: float, **others: object
) -> Network:
    arguments = {"o": o, "m_ratio": m, "input_size": size, **others}
    return Network(name, f"{title}@{size}, o={o} m={m:g}", f"lego_{arch}", arguments, 3, size)


NETWORKS = {
    network.name: network
    for network in (
        _network("vgg16-224", "VGG16", "vgg16", size=224, o=2, m=0.5, classes=1000),
        _network("vgg16-224-small", "VGG16", "vgg16", size=224, o=4, m=0.25, classes=1000),
        _network("vgg16-32", "VGG16", "vgg16", size=32, o=2, m=0.5),
        _network(
            "vgg16-32-published", "VGG16 published", "vgg16", size=32, o=2, m=0.5, form="published"
        ),
        _network("resnet50-224", "ResNet-50", "resnet50", size=224, o=2, m=0.5),
        _network("mobilenet-224", "MobileNet", "mobilenet", size=224, o=2, m=0.5),
        _network("mobilenet-224-full", "MobileNet", "mobilenet", size=224, o=2, m=1.0),
    )
}
# The network of make demo, which is small: raced in every precision alone.
DIGITS = Network(
    "digits-8", "digits@8, o=2 m=0.5", "lego_digits", {"o": 2, "m_ratio": 0.5}, channels=1, size=8
)


def layer(size: int, m_ratio: float = 0.5) -> Network:
    """Return one 3x3 layer of 128 channels with its activation, o = 2."""
    arguments = {"channels": LAYER_CHANNELS, "o": 2, "m_ratio": m_ratio}
    name = f"layer-{size}-{m_ratio:g}"
    factory = "benchmarks.torch_side:one_layer"
    return Network(name, name, factory, arguments, LAYER_CHANNELS, size)

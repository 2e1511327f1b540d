"""The architectures that a checkpoint or the command line can name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from legoexport.errors import UsageError
from legoexport.models.blocks import LegoRecipe
from legoexport.models.digits_net import LegoDigitsNet
from legoexport.models.mobilenet import LegoMobileNet
from legoexport.models.resnet import LegoResNet50
from legoexport.models.resnet20 import LegoResNet20
from legoexport.models.vgg import LegoVGG16

Hyperparameters = Mapping[str, object]

LEGO_DEFAULTS: Hyperparameters = {"o": 2, "m_ratio": 0.5, "coefficients": True}
SMALL_IMAGE = 8


@dataclass(frozen=True)
class Architecture:
    """A network that can be built by name.

    Attributes:
        name: The name given to ``--arch``.
        description: One line for people.
        build: Takes a recipe (None for a dense network) and the network's own hyper-parameters.
        defaults: The network's own hyper-parameters, without those of the Lego layers.
        channels: Input channels.
        least_input_size: Smallest height and width in pixels that its pooling allows.
        is_lego: Whether it has Lego layers.
        twin: Name of the same network with, or without, Lego layers.
    """

    name: str
    description: str
    build: Callable[..., nn.Module]
    defaults: Hyperparameters
    channels: int
    least_input_size: int
    is_lego: bool
    twin: str

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Every hyper-parameter with its default."""
        return {**(LEGO_DEFAULTS if self.is_lego else {}), **self.defaults}


def _of_any_size(network: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Return how to build a network that is the same for every image size."""

    def build_network(
        recipe: LegoRecipe | None, *, input_size: int, **hyperparameters: object
    ) -> nn.Module:
        del input_size
        return network(recipe, **hyperparameters)

    return build_network


def _both(
    lego_name: str,
    dense_name: str,
    description: str,
    build: Callable[..., nn.Module],
    *,
    channels: int,
    least_input_size: int,
    defaults: Hyperparameters,
) -> tuple[Architecture, ...]:
    sizes = (channels, least_input_size)
    frozen = MappingProxyType(dict(defaults))
    return tuple(
        Architecture(name, f"{description}, {layers}", build, frozen, *sizes, is_lego, twin)
        for name, layers, is_lego, twin in (
            (lego_name, "Lego layers", True, dense_name),
            (dense_name, "dense", False, lego_name),
        )
    )


_REGISTERED = (
    *_both(
        "lego_vgg16",
        "vgg16",
        "VGG16 with batch norm",
        _of_any_size(LegoVGG16),
        channels=3,
        least_input_size=32,
        defaults={"classes": 10, "input_size": 32, "form": "paper", "width": 1.0},
    ),
    *_both(
        "lego_resnet20",
        "resnet20",
        "ResNet-20 for 32x32 images",
        _of_any_size(LegoResNet20),
        channels=3,
        least_input_size=1,
        defaults={"classes": 10, "input_size": 32, "width": 1.0},
    ),
    *_both(
        "lego_resnet50",
        "resnet50",
        "ResNet-50",
        LegoResNet50,
        channels=3,
        least_input_size=1,
        defaults={"classes": 1000, "input_size": 224, "width": 1.0},
    ),
    *_both(
        "lego_mobilenet",
        "mobilenet_v1",
        "MobileNet v1",
        LegoMobileNet,
        channels=3,
        least_input_size=1,
        defaults={"classes": 1000, "input_size": 224, "width": 1.0},
    ),
    *_both(
        "lego_digits",
        "digits",
        "Small network for 8x8 digits",
        _of_any_size(LegoDigitsNet),
        channels=1,
        least_input_size=2,
        defaults={"classes": 10, "input_size": SMALL_IMAGE, "width": 1.0},
    ),
)

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {architecture.name: architecture for architecture in _REGISTERED}
)


def find_architecture(name: str) -> Architecture:
    """Return the architecture called ``name``.

    Raises:
        UsageError: There is no such architecture.
    """
    if name not in ARCHITECTURES:
        raise UsageError.unknown("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def build(arch: str, **hyperparameters: object) -> nn.Module:
    """Build a network by name, freshly initialised.

    Args:
        arch: One of ``ARCHITECTURES``.
        **hyperparameters: Override the defaults of the architecture.

    Raises:
        UsageError: An unknown architecture or hyper-parameter, or a value of another type, or an
            ``o`` that does not divide the channels of a layer.
    """
    architecture = find_architecture(arch)
    values = complete(arch, hyperparameters)
    recipe = None
    if architecture.is_lego:
        recipe = LegoRecipe(**{name: values.pop(name) for name in LEGO_DEFAULTS})  # type: ignore[arg-type]
    return architecture.build(recipe, **values)


def input_shape(arch: str, hyperparameters: Hyperparameters) -> tuple[int, int, int]:
    """Return ``(channels, height, width)`` of the images the network is made for."""
    size = complete(arch, hyperparameters)["input_size"]
    assert isinstance(size, int)  # noqa: S101 - complete() checked it
    return find_architecture(arch).channels, size, size


def complete(arch: str, hyperparameters: Hyperparameters) -> dict[str, object]:
    """Return all hyperparameters of ``arch``: those given, and defaults for the others.

    Raises:
        UsageError: A hyperparameter is unknown or of another type, or the images are too small.
    """
    defaults = find_architecture(arch).hyperparameters
    unknown = sorted(set(hyperparameters) - set(defaults))
    if unknown:
        raise UsageError.unknown(f"hyper-parameter of {arch}", unknown[0], defaults)
    values = {
        name: _checked(arch, name, hyperparameters.get(name, default), default)
        for name, default in defaults.items()
    }
    _check_input_size(find_architecture(arch), values["input_size"])
    return values


def _check_input_size(architecture: Architecture, size: object) -> None:
    least = architecture.least_input_size
    if isinstance(size, int) and size < least:
        raise UsageError(
            f"{architecture.name}: input_size in pixels", received=size, legal=f"{least} or more"
        )


def _checked(arch: str, name: str, value: object, default: object) -> object:
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    positive = isinstance(value, str | bool) or (isinstance(value, int | float) and value > 0)
    if type(value) is not type(default) or not positive:
        legal = f"a {type(default).__name__} such as {default!r}"
        raise UsageError(f"{arch}: hyper-parameter {name}", received=repr(value), legal=legal)
    return value

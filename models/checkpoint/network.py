"""The network that a checkpoint's weights belong to: a registered one, or one the user names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from legoexport.errors import CheckpointError, UsageError
from legoexport.models.checkpoint.layout import Layout
from legoexport.models.checkpoint.user_code import input_channels, make_network
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.registry import ARCHITECTURES, build, complete, input_shape
from legoexport.models.run import shortened

_LISTED_COUNT = 5
_MOST_COUNT = 2**40
_MOST_RATIO = 2.0**20


@dataclass(frozen=True)
class NetworkChoice:
    """What the user says about the network; the arguments of ``read_checkpoint``."""

    arch: str | None
    hyperparameters: Mapping[str, object]
    model: str | None
    input_size: tuple[int, int] | None
    dense: bool = False
    takes_image: bool = True


@dataclass(frozen=True)
class Network:
    """A network without its weights.

    Attributes:
        module: The network; one of ours is on the "meta" device, so that a file that names
            absurd hyperparameters costs nothing.
        arch: Registry name, or ``package.module:factory``.
        hyperparameters: What it was built with.
        image_shape: ``(channels, height, width)`` of its input; None if it takes other than one
            image.
    """

    module: nn.Module
    arch: str
    hyperparameters: Mapping[str, object]
    image_shape: tuple[int, int, int] | None


def find_network(layout: Layout, choice: NetworkChoice) -> Network:
    """Build the network that the user names, or else the one that the file names.

    Args:
        layout: What the file says.
        choice: What the user says.

    Returns:
        The network.

    Raises:
        CheckpointError: Nobody names it, or it cannot be built.
    """
    name = _network_name(layout, choice)
    recorded = layout.hyperparameters if name == layout.arch else {}
    arguments = {**recorded, **choice.hyperparameters}
    if choice.model:
        return _user_network(name, arguments, choice)
    return _registered_network(name, arguments, choice)


def _network_name(layout: Layout, choice: NetworkChoice) -> str:
    if choice.arch and choice.model:
        raise CheckpointError("an architecture and a model of your own; name one of them")
    name = choice.model or choice.arch or layout.arch
    if name is None:
        raise CheckpointError(
            "a state_dict that does not tell which network it belongs to",
            received=", ".join(list(layout.tensors)[:_LISTED_COUNT]),
            legal="weights of legoexport or of the published lego_vgg16",
            next_step="name the network with --arch and --set, or --model package.module:factory",
        )
    if not choice.model and ":" in name:
        raise CheckpointError(
            "it belongs to a network of your own code, which is not run unless you name it",
            received=name,
            next_step=f"if you trust that code, add --model {name}",
        )
    return name


def _registered_network(
    arch: str, arguments: Mapping[str, object], choice: NetworkChoice
) -> Network:
    if not choice.takes_image:
        raise CheckpointError(
            f"{arch} takes one image, and was to be read for other inputs",
            next_step="name your own network with --model, or leave --input-shape out",
        )
    try:
        _check_magnitudes(complete(arch, arguments))
        channels, *own_size = input_shape(arch, arguments)
        with torch.device("meta"):
            module = build(arch, **arguments)
    except UsageError as error:
        raise CheckpointError(
            f"the network {arch} cannot be built",
            received=error,
            next_step="check the name and the hyperparameters (--arch, --set)",
        ) from error
    _check_lego(arch, module, dense=choice.dense)
    height, width = choice.input_size or own_size
    return Network(module, arch, arguments, (channels, height, width))


def _check_magnitudes(arguments: Mapping[str, object]) -> None:
    """Refuse what would only overflow somewhere in torch; a network on "meta" costs nothing."""
    for name, value in arguments.items():
        most = _MOST_RATIO if isinstance(value, float) else _MOST_COUNT
        if isinstance(value, int | float) and not value <= most:
            raise UsageError(f"hyper-parameter {name}", received=value, legal=f"at most {most}")


def _user_network(factory: str, arguments: Mapping[str, object], choice: NetworkChoice) -> Network:
    if choice.takes_image and choice.input_size is None:
        raise CheckpointError(
            f"the input size of a network from {factory} must be given",
            legal="height and width in pixels",
            next_step="add --input-size H W; for other inputs than one image, convert takes"
            " --input-shape",
        )
    module = make_network(factory, arguments)
    _check_lego(factory, module, dense=choice.dense)
    size = choice.input_size if choice.takes_image else None
    shape = (input_channels(module), *size) if size else None
    return Network(module, factory, arguments, shape)


def _check_lego(arch: str, module: nn.Module, *, dense: bool) -> None:
    if any(isinstance(layer, LegoConv2d) for layer in module.modules()) != dense:
        return
    legal = ", ".join(name for name, each in ARCHITECTURES.items() if each.is_lego != dense)
    if dense:
        raise CheckpointError(f"the network {arch} has Lego layers already", legal=legal)
    raise CheckpointError(
        f"the network {arch} has no Lego layers",
        legal=legal,
        next_step="legoexport fit fits Lego layers to a dense network; or name another one:"
        " one of your own is to hold LegoConv2d layers",
    )


def check_input(network: Network) -> None:
    """Run a network, weights loaded, on an empty image of its input size, if it takes one.

    Args:
        network: The network.

    Raises:
        CheckpointError: It cannot take such an input.
    """
    if network.image_shape is None:
        return
    try:
        with torch.no_grad():
            network.module(torch.zeros(1, *network.image_shape))
    except Exception as error:  # the forward may be the user's
        raise CheckpointError(
            f"{network.arch} cannot take this input size",
            received=network.image_shape,
            next_step="give the size it was trained for, on the CPU and in PyTorch first"
            f" ({shortened(error)})",
        ) from error

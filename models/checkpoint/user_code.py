"""A network made by the user's own code, which runs because the user named it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from torch import nn

from legoexport.errors import CheckpointError
from legoexport.models.plain_copy import unwrapped


def make_network(factory: str, arguments: Mapping[str, object]) -> nn.Module:
    """Import the user's factory and call it.

    Args:
        factory: ``package.module:factory``; the working directory is searched first.
        arguments: Keyword arguments of the factory.

    Returns:
        The network, float32 on the CPU, without what torch.compile and the like put around it.

    Raises:
        CheckpointError: The code cannot be imported, fails, or makes no network.
    """
    module_name, _, name = factory.partition(":")
    try:
        with _working_directory_importable():
            network = getattr(importlib.import_module(module_name), name)(**arguments)
    except (Exception, SystemExit) as error:  # the user's code may raise anything, and be a script
        raise CheckpointError(
            f"the network {factory} cannot be made",
            received=repr(error),
            legal="package.module:factory, a function that returns an nn.Module",
            next_step="call it in Python and mend what it raises",
        ) from error
    if not isinstance(network, nn.Module):
        raise CheckpointError(
            f"{factory} makes no network", received=type(network), legal="an nn.Module"
        )
    return unwrapped(network).cpu().float()


def input_channels(network: nn.Module) -> int:
    """Channels that the first convolution of a network takes, dense or Lego.

    Args:
        network: A network with at least one.

    Returns:
        Number of channels.
    """
    convolutions = (layer for layer in network.modules() if hasattr(layer, "in_channels"))
    return int(cast("nn.Conv2d", next(convolutions)).in_channels)


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    # An installed command does not search the directory it is called in, where the code mostly is.
    directory = str(Path.cwd())
    sys.path.insert(0, directory)
    try:
        yield
    finally:
        sys.path.remove(directory)

"""Run a user's network, and where it fails say which module did, and on which line."""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from legoexport.errors import UsageError
from legoexport.models.compute_in import computing_in

TORCH = Path(torch.__file__).parent
OURS = Path(__file__).resolve().parents[1]
MESSAGE_CHARACTERS = 300


@torch.no_grad()
def run_network(module: nn.Module, inputs: Sequence[Tensor], dtype: torch.dtype) -> Any:
    """Return what ``module`` gives for ``inputs`` where every float is a ``dtype``.

    Args:
        module: In eval mode, with parameters of ``dtype``.
        inputs: Its arguments; those of floating-point type have ``dtype``.
        dtype: torch.float32 or torch.float64.

    Raises:
        UsageError: Its forward raises; the message names the module that did and the line.
    """
    _check_arguments(module, inputs)
    place = Place("")
    try:
        with place.followed(module), computing_in(dtype):
            return module(*inputs)
    except Exception as error:  # the forward is the user's
        shapes = ", ".join(str(tuple(one.shape)) for one in inputs)
        raise UsageError(
            f"the network does not take this input: {place.describe(module)} fails",
            received=f"input {shapes}; {shortened(error)}{_at(error)}",
            next_step="run the network on such an input in PyTorch first",
        ) from error


def _check_arguments(module: nn.Module, inputs: Sequence[Tensor]) -> None:
    signature = inspect.signature(module.forward)
    try:
        signature.bind(*inputs)
    except TypeError:
        raise UsageError(
            f"network {type(module).__name__} does not take {len(inputs)} inputs",
            received=f"{len(inputs)} inputs",
            legal=f"{type(module).__name__}{signature}",
            next_step="a network of several inputs is converted in Python:"
            " convert_module(network, (first, second))",
        ) from None


class Place:
    """The module that runs at this moment, by its dotted name."""

    def __init__(self, name: str) -> None:
        self.name = name

    @contextlib.contextmanager
    def followed(self, module: nn.Module) -> Iterator[None]:
        """Keep ``name`` up to date while the block runs ``module``."""
        outer: list[str] = []

        def enter(name: str) -> None:
            outer.append(self.name)
            self.name = name

        handles = []
        for name, one in module.named_modules():
            handles.append(one.register_forward_pre_hook(lambda *_, name=name: enter(name)))
            handles.append(one.register_forward_hook(lambda *_: setattr(self, "name", outer.pop())))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def describe(self, module: nn.Module) -> str:
        """Return such as ``module features.3 (Conv2d)``."""
        kind = type(module.get_submodule(self.name)).__name__
        return f"module {self.name} ({kind})" if self.name else f"module {kind} itself"


def shortened(error: BaseException) -> str:
    """Return kind and message of ``error`` on one line of bounded length."""
    text = " ".join(str(error).split())
    if len(text) > MESSAGE_CHARACTERS:
        text = text[:MESSAGE_CHARACTERS] + " ..."
    return f"{type(error).__name__}: {text}"


def _at(error: BaseException) -> str:
    """Say the last line of the user's own code that the error passed through."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not Path(frame.filename).is_relative_to(TORCH)
        and not Path(frame.filename).resolve().is_relative_to(OURS)
    ]
    return f", at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""

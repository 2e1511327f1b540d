"""The example that a network is compiled for: one tensor for each argument of its forward."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from legoexport.errors import UsageError

Example = Tensor | Sequence[Tensor]

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
# Types whose every value may come; of a wider type only the example's own values are known to fit.
WHOLE_RANGES = {torch.bool: (0, 1), torch.uint8: (0, 255), torch.int8: (-128, 127)}


def inputs_of(example: Example) -> tuple[Tensor, ...]:
    """Return the arguments that ``example`` stands for."""
    return (example,) if isinstance(example, Tensor) else tuple(example)


def checked_example(example: Example) -> tuple[Tensor, ...]:
    """Return ``example`` as the compiler takes it: on the CPU, every float as float32.

    Raises:
        UsageError: It is not one tensor, or several, with the same batch in front.
    """
    if not isinstance(example, (Tensor, tuple, list)):
        raise _refused("the example must be one batch of images", type(example).__name__)
    inputs = inputs_of(example)
    for one in inputs:
        if not isinstance(one, Tensor):
            raise _refused("the example must hold tensors only", type(one).__name__)
        if one.dim() == 0 or 0 in one.shape:
            raise _refused("the example must hold at least one entry", tuple(one.shape))
        if not (one.is_floating_point() or one.dtype in (*INTEGERS, torch.bool)):
            raise _refused("the example must hold floats, integers or booleans", one.dtype)
    if len({one.shape[0] for one in inputs}) != 1:
        shapes = [tuple(one.shape) for one in inputs]
        raise _refused("the example must have the same batch in every input", shapes)
    return tuple(
        one.detach().to("cpu", torch.float32 if one.is_floating_point() else None, copy=True)
        for one in inputs
    )


def _refused(problem: str, received: object) -> UsageError:
    return UsageError(
        problem,
        received=received,
        legal="a tensor (batch, channels, height, width), or a tuple of tensors (batch, ...)",
        next_step="add the batch with unsqueeze(0) where it is missing",
    )


def input_names(module: nn.Module, inputs: Sequence[Tensor]) -> tuple[str, ...]:
    """Return a name for each input: ``input``, or if there are several those of the parameters."""
    if len(inputs) == 1:
        return ("input",)
    names: list[str] = []
    for one in inspect.signature(module.forward).parameters.values():
        left = range(len(inputs) - len(names))
        if one.kind is one.VAR_POSITIONAL:
            names += [f"{one.name}_{position}" for position in left]
        elif left and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD):
            names.append(one.name)
    return tuple(names)


def value_range(one: Tensor) -> tuple[int, int]:
    """Return the smallest and the largest integer that checks draw for an input like ``one``.

    Of 8 bits and booleans every value may come. A wider integer mostly is an index, and where it
    ends the type does not say: the values of the example are taken for all that may come.
    """
    return WHOLE_RANGES.get(one.dtype) or (int(one.min()), int(one.max()))


def integer_ranges(names: Iterable[str], inputs: Iterable[Tensor]) -> dict[str, tuple[int, int]]:
    """Return the range of each input whose type does not tell it, by name."""
    return {
        name: value_range(one)
        for name, one in zip(names, inputs, strict=True)
        if not one.is_floating_point() and one.dtype not in WHOLE_RANGES
    }


def random_like(one: Tensor) -> Tensor:
    """Return random input of the shape of ``one``: normal float64, or integers of its range."""
    generator = torch.Generator().manual_seed(0)
    if one.is_floating_point():
        return torch.randn(one.shape, generator=generator, dtype=torch.float64)
    low, high = value_range(one)
    return torch.randint(low, high + 1, one.shape, generator=generator).to(one.dtype)

"""The tensors that a network gives back, in whatever tuples, lists and dicts it puts them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from legoexport.errors import UsageError

# A slash is what the parts of a Lego layer have in their names.
PLAIN_NAME = re.compile(r"[^\s/]+")


def output_names(result: Any, taken: Collection[str] = ()) -> tuple[str, ...]:
    """Return a name for every output, in the order of ``torch.utils._pytree``; None is no output.

    One tensor is ``output``, the values of a dict have its keys, and all others are ``output_0``,
    ``output_1`` and so on; so are those of a dict whose keys are no plain words or are ``taken``.
    """
    if isinstance(result, dict):
        present = {key: value for key, value in result.items() if value is not None}
        flat = all(len(tree_leaves(value)) == 1 for value in present.values())
        plain = all(isinstance(key, str) and PLAIN_NAME.fullmatch(key) for key in present)
        if flat and plain and not set(taken) & set(present):
            return tuple(present)
    count = sum(leaf is not None for leaf in tree_leaves(result))
    if count == 1:
        return ("output",)
    return tuple(f"output_{position}" for position in range(count))


def output_tensors(result: Any, batch_size: int) -> tuple[Tensor, ...]:
    """Return the outputs of a run, in the same order; ``batch_size`` is that of the inputs.

    Raises:
        UsageError: There is none, or one is no tensor of numbers with the batch in front.
    """
    leaves = [leaf for leaf in tree_leaves(result) if leaf is not None]
    if not leaves:
        raise UsageError("the network gives nothing back", legal="at least one tensor")
    for name, leaf in zip(output_names(result), leaves, strict=True):
        if not isinstance(leaf, Tensor) or leaf.is_complex() or leaf.is_sparse:
            kind = leaf.dtype if isinstance(leaf, Tensor) else type(leaf).__name__
            raise UsageError(
                f"the network's {name} cannot be an output of an ONNX file",
                received=kind,
                legal="a tensor of floats, integers or booleans",
                next_step="leave it out, in a module around the network",
            )
        if leaf.dim() == 0 or leaf.shape[0] != batch_size or leaf.numel() == 0:
            raise UsageError(
                f"the network's {name} does not have one entry for each entry of the batch",
                received=tuple(leaf.shape),
                legal=f"({batch_size}, ...) for a batch of {batch_size}",
                next_step="leave it out, in a module around the network",
            )
    return tuple(leaves)

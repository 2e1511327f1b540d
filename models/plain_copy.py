"""A plain copy of a network: what training wrapped around it is taken off, what it computes stays.

Compiling and proving need a network that can be copied, exported and run in float64. A user's one
may be compiled, spread over devices, averaged, pruned, or hold tensors that it computed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from legoexport.errors import UsageError

# Where each wrapper keeps the network itself.
WRAPPERS: Mapping[str, str] = {
    "OptimizedModule": "_orig_mod",  # torch.compile
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "AveragedModel": "module",
}


def plain_copy(module: nn.Module) -> nn.Module:
    """Return an independent copy in eval mode, in float32, on the CPU; ``module`` stays as it is.

    Wrappers of torch.compile, DataParallel and weight averaging are taken off. Weights that are
    computed before each call (weight norm, spectral norm, pruning) are computed once, as in eval
    mode.

    Raises:
        UsageError: It is a script, which has lost its layers, or cannot be copied.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            "a scripted network has lost its layers",
            received=type(module).__name__,
            legal="the torch.nn.Module that was scripted or traced",
            next_step="give the network as it was before torch.jit",
        )
    copied = unwrapped(_copied(_outermost(module))).eval()
    for submodule in list(copied.modules()):
        _settle_weights(submodule)
    return copied.float().cpu()


def unwrapped(module: nn.Module) -> nn.Module:
    """Take wrappers off ``module`` and, in place, off all that is in it; return what is left."""
    inner = _outermost(module)
    _unwrap_children(inner)
    return inner


def _copied(module: nn.Module) -> nn.Module:
    # Tensors with a history refuse to be copied; without it they are plain values.
    memo: dict[int, Any] = {
        id(tensor): tensor.detach().clone() for tensor in _tensors(module) if not tensor.is_leaf
    }
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:  # __deepcopy__ and __getstate__ are the user's own
        raise UsageError(
            f"network {type(module).__name__} cannot be copied",
            received=f"{type(error).__name__}: {error}",
            next_step="keep what copy.deepcopy refuses out of the module",
        ) from error


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    for submodule in module.modules():
        yield from _found_in(vars(submodule).values(), seen=set())


def _found_in(values: Iterable[object], seen: set[int]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (dict, list, tuple, set)) and id(value) not in seen:
            seen.add(id(value))
            inner = value.values() if isinstance(value, dict) else value
            yield from _found_in(inner, seen)


def _outermost(module: nn.Module) -> nn.Module:
    while (inner := _inside(module)) is not None:
        module = inner
    return module


def _unwrap_children(copied: nn.Module) -> None:
    for module in list(copied.modules()):
        module._compiled_call_impl = None  # what nn.Module.compile() leaves
        for name, child in list(module._modules.items()):
            if child is not None and _inside(child) is not None:
                setattr(module, name, _outermost(child))


def _inside(module: nn.Module) -> nn.Module | None:
    attribute = WRAPPERS.get(type(module).__name__)
    own = attribute is not None and type(module).__module__.startswith("torch.")
    inner = getattr(module, attribute) if own and attribute else None
    return inner if isinstance(inner, nn.Module) else None


def _settle_weights(module: nn.Module) -> None:
    if parametrize.is_parametrized(module):
        # The copy shares the class that holds the computed weights, and taking one off changes it.
        shared = type(module)
        module.__class__ = type(shared.__name__, shared.__bases__, dict(vars(shared)))
        for name in list(module.parametrizations):  # type: ignore[arg-type]
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, WeightNorm):
            nn.utils.remove_weight_norm(module, hook.name)
        elif isinstance(hook, SpectralNorm):
            nn.utils.remove_spectral_norm(module, hook.name)
        elif isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]

"""Run a network with every long sum in order, one number after the other, as runtimes may add.

In a sum of N numbers, PyTorch sends each through about log2(N) additions. ONNX Runtime adds along a
few lanes, in its blocked layout along a single one, so that a number goes through up to N - 1. With
unit roundoff u = 2**-24, the error of any order is at most (Higham, 2002, section 4.2)::

    |error| <= depth u sum|x|       depth: the most additions that a number goes through

So what PyTorch loses says nothing of what a runtime may lose: a mean of 48400 positions is off by
143 u of its size in order, and by 3 u in PyTorch. The bound itself is 48400 u, which would hide
wrong tables. Hence the error is measured on the numbers at hand, in the order of greatest depth.

Convolutions and matrix products stay as they are, for PyTorch and runtimes add their products in
blocks alike. So do the windows of AvgPool2d, which PyTorch adds in order itself.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# So many numbers of a row are added at a time: all partial sums of a map would fill memory.
BLOCK_LENGTH = 2**14
aten = torch.ops.aten


@contextlib.contextmanager
def summing_in_order() -> Iterator[None]:
    """While the block runs, sums of float32 are added in order, those of means and norms too."""
    with _InOrder():  # type: ignore[no-untyped-call]
        yield


class _InOrder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes what ``RULES`` names by ``added_in_order``."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        settings = dict(kwargs or {})
        rule = RULES.get(func)
        if rule is None or not _is_float32(args[0], settings.get("dtype")):
            return func(*args, **settings)
        settings.pop("dtype", None)
        with np.errstate(all="ignore"):  # what overflows is judged where it comes out
            return rule(*args, **settings)


def _is_float32(x: Tensor, asked: torch.dtype | None) -> bool:
    """Whether numbers are added in float32: ``sum(dtype=...)`` converts them before."""
    return x.dtype == (asked or x.dtype) == torch.float32


def added_in_order(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add the numbers of each row ``(..., N)`` from the first to the last, in float32."""
    total = np.zeros((*rows.shape[:-1], 1), np.float32)
    for start in range(0, rows.shape[-1], BLOCK_LENGTH):
        terms = np.concatenate([total, rows[..., start : start + BLOCK_LENGTH]], axis=-1)
        total = np.add.accumulate(terms, axis=-1)[..., -1:]
    return total[..., 0]


def _axes(x: Tensor, dim: int | Sequence[int] | None) -> list[int]:
    """Return the axes that ``dim`` names; none named are all."""
    named = [dim] if isinstance(dim, int) else list(dim or range(x.ndim))
    return sorted(axis % x.ndim for axis in named)


# The signatures are those of aten, which gives keepdim by its place.
def _sum(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    axes = _axes(x, dim)
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    rows = x.permute(*kept, *axes).reshape(*(x.shape[axis] for axis in kept), -1)
    total = torch.from_numpy(np.ascontiguousarray(added_in_order(rows.numpy())))
    whole = [1 if axis in axes else length for axis, length in enumerate(x.shape)]
    return total.reshape(whole if keepdim else [x.shape[axis] for axis in kept])


def _count(x: Tensor, dim: Any) -> int:
    return math.prod(x.shape[axis] for axis in _axes(x, dim))


def _mean(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:  # noqa: FBT001, FBT002
    return _sum(x, dim, keepdim) / _count(x, dim)


def _var(
    x: Tensor, dim: Any = None, *, correction: float | None = None, keepdim: bool = False
) -> Tensor:
    squares = (x - _mean(x, dim, keepdim=True)).square()
    freedom = _count(x, dim) - (1 if correction is None else correction)
    return _sum(squares, dim, keepdim) / max(freedom, 0)


def _std(x: Tensor, dim: Any = None, **settings: Any) -> Tensor:
    return _var(x, dim, **settings).sqrt()


def _var_mean(
    x: Tensor, dim: Any = None, *, keepdim: bool = False, **settings: Any
) -> tuple[Tensor, Tensor]:
    return _var(x, dim, keepdim=keepdim, **settings), _mean(x, dim, keepdim)


def _vector_norm(
    x: Tensor,
    order: float = 2,
    dim: Any = None,
    keepdim: bool = False,  # noqa: FBT001, FBT002
) -> Any:
    if order == 2:  # noqa: PLR2004
        return _sum(x.square(), dim, keepdim).sqrt()
    return aten.linalg_vector_norm.default(x, order, dim, keepdim)


def _layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    return _normalized(x, range(-len(shape), 0), weight, bias, epsilon)


def _group_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, *sizes: Any) -> Any:
    batch, channels, _, groups, epsilon = sizes
    apart = x.reshape(batch, groups, -1)
    normal, mean, inverse = _normalized(apart, [-1], None, None, epsilon)
    per_channel = (1, channels, *[1] * (x.ndim - 2))
    return _affine(normal.reshape(x.shape), weight, bias, per_channel), mean, inverse


def _batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, *rest: Any) -> Any:
    """Normalise by the numbers themselves, as InstanceNorm2d does."""
    *_, is_training, _, epsilon = rest
    if not is_training:
        return aten.native_batch_norm.default(x, weight, bias, *rest)
    axes = [axis for axis in range(x.ndim) if axis != 1]
    normal, mean, inverse = _normalized(x, axes, None, None, epsilon)
    return _affine(normal, weight, bias, (1, -1, *[1] * (x.ndim - 2))), mean, inverse


def _normalized(
    x: Tensor, axes: Any, weight: Tensor | None, bias: Tensor | None, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    mean = _mean(x, axes, keepdim=True)
    inverse = (_var(x, axes, correction=0, keepdim=True) + epsilon).rsqrt()
    return _affine((x - mean) * inverse, weight, bias, None), mean, inverse


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: Any) -> Tensor:
    for one, apply in ((weight, torch.mul), (bias, torch.add)):
        if one is not None:
            x = apply(x, one if shape is None else one.reshape(shape))
    return x


def _cumsum(x: Tensor, dim: int) -> Tensor:
    return torch.from_numpy(np.add.accumulate(x.numpy(), axis=dim))


RULES: Mapping[Any, Callable[..., Any]] = {
    aten.sum.default: _sum,
    aten.sum.dim_IntList: _sum,
    aten.mean.default: _mean,
    aten.mean.dim: _mean,
    aten.var.correction: _var,
    aten.std.correction: _std,
    aten.var_mean.correction: _var_mean,
    aten.linalg_vector_norm.default: _vector_norm,
    aten.native_layer_norm.default: _layer_norm,
    aten.native_group_norm.default: _group_norm,
    aten.native_batch_norm.default: _batch_norm,
    aten.cumsum.default: _cumsum,
}

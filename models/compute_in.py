"""Run a network in one floating-point type throughout, whatever its ``forward`` casts to.

A network may hold ``x.float()``, ``x.half()`` or a region of autocast. In float64, the truth that
files are judged by, such a cast throws away digits, or meets weights of another type. In float32, a
region of bfloat16 widens every limit that rests on PyTorch's own rounding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


class _OneFloat(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Turns a cast to any floating-point type, also by autocast, into a cast to one."""

    # torch 2.13 traces an LSTM or a GRU as a loop, which asks every mode whether it lets it pass.
    supports_higher_order_operators = True

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype = dtype

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        settings = dict(kwargs or {})
        if settings.get("dtype") in FLOATS:
            settings["dtype"] = self.dtype
        return func(*args, **settings)


@contextlib.contextmanager
def computing_in(dtype: torch.dtype) -> Iterator[None]:
    """While the block runs, every operator computes in ``dtype`` where it computes in floats.

    Args:
        dtype: A floating-point type; parameters and inputs must have it already.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)  # of tensors that a forward makes without naming a type
    try:
        with _OneFloat(dtype):
            yield
    finally:
        torch.set_default_dtype(before)

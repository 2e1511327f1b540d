"""Shapes for the inputs of a model: a free first dimension is the batch, no other is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from legoexport.errors import UsageError

Described = tuple[str, str, Sequence[object]]
Filled = tuple[str, str, list[int]]

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def check_readable(path: Path) -> None:
    """Open the file.

    Raises:
        UsageError: The file is missing or cannot be read.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise UsageError(f"cannot read {path}", received=error.strerror) from None


def fill_shapes(path: Path, inputs: Sequence[Described], batch_size: int) -> list[Filled]:
    """Return name, numpy type and whole shape of each input.

    Args:
        path: The model, for messages.
        inputs: Name, type and shape as ONNX Runtime gives them; a free dimension is not an integer.
        batch_size: Size of the first dimension if it is free.

    Raises:
        UsageError: The batch is fixed at another size, another dimension is free, or the type is
            not one of numbers.
    """
    return [
        (name, _dtype(name, kind), _shape(path, name, shape, batch_size))
        for name, kind, shape in inputs
    ]


def _dtype(name: str, kind: str) -> str:
    if kind not in DTYPES:
        problem = f"input {name} cannot be filled with random numbers"
        raise UsageError(problem, received=kind, legal=", ".join(DTYPES))
    return DTYPES[kind]


def _shape(path: Path, name: str, shape: Sequence[object], batch_size: int) -> list[int]:
    batch, *others = shape or [batch_size]
    sizes = [size for size in others if isinstance(size, int)]
    if len(sizes) < len(others):
        raise UsageError(
            f"{path} leaves more of input {name} open than the batch",
            received=list(shape),
            legal="(batch, fixed sizes)",
            next_step="convert it with a fixed --input-size",
        )
    if isinstance(batch, int) and batch != batch_size:
        raise UsageError(
            f"{path} was made for another batch", received=f"--batch {batch_size}", legal=batch
        )
    return [batch_size, *sizes] if shape else []

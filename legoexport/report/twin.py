"""Whether what rounding costs can be shown beside another file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from legoexport.host.reading import read_bytes
from legoexport.ort.session import RuntimeModel
from legoexport.parity.opened import OpenedModel


def gives_the_same(other: Path, opened: OpenedModel) -> bool:
    """Whether a file takes what ``opened`` takes, and gives outputs of the same shapes.

    Raises:
        UsageError: It cannot be read.
        CheckFailed: It stops with an error.
    """
    dense = RuntimeModel(read_bytes(other), opened.threads)
    taken = [
        (one.inputs, one.fixed_batch_size, one.output_names) for one in (dense, opened.runtime)
    ]
    return taken[0] == taken[1] and _shapes(dense) == _shapes(opened.runtime)


def _shapes(model: RuntimeModel) -> list[tuple[int, ...]]:
    batch_size = model.fixed_batch_size or 1
    blank = [np.zeros((batch_size, *one.shape), one.dtype) for one in model.inputs]
    return [values.shape for values in model.run_all(blank, batch_size).values()]

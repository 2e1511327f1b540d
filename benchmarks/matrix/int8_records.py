"""What was found of files in int8, and its table; complete on disk after every cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.matrix.records import Conditions
from legoexport.errors import UsageError
from legoexport.host.atomic import write_bytes

RESULTS = Path(__file__).parents[1] / "results" / "runtimes_int8.json"
NETWORKS = {
    "small": "SmallNet",
    "digits": "digits",
    "vgg16": "VGG16",
    "mobilenet": "MobileNet v1",
    "resnet50": "ResNet-50",
}
# The runtimes that have kernels for the integers of each target.
RUNTIMES_OF = {
    "xnnpack": ("xnnpack",),
    "web": ("wasm",),
    "arm64": ("arm64:cortex-a72", "arm64:neoverse-n1", "arm64:max"),
}
COLUMNS = ("network", "target", "runtime", "layers", "integers", "ties", "differ", "by steps")


@dataclass(frozen=True)
class IntegerCell:
    """A file in int8 on a runtime: how many of its integers are right.

    Attributes:
        network: One of ``NETWORKS``.
        target: What the file was converted for.
        runtime: The name given to ``--runtime``.
        sha256: Digest of the file.
        described: The runtime in words, with its version.
        layers_count: Layers that were walked.
        values_count: Integers that were compared.
        ties_count: Those of which two are right.
        differing_count: Those that are not right.
        steps: Largest distance from a right one, in steps of the layer's output.
        passed: Whether ``verify --runtime`` passes.
        failure: What the runtime said where it gave no outputs.
    """

    network: str
    target: str
    runtime: str
    sha256: str
    described: str = ""
    layers_count: int = 0
    values_count: int = 0
    ties_count: int = 0
    differing_count: int = 0
    steps: int = 0
    passed: bool = False
    failure: str = ""

    def __post_init__(self) -> None:
        """Refuse a verdict that the figures contradict."""
        if self.passed and (self.failure or not self.values_count):
            raise UsageError("a cell of the matrix", received=self, legal="passed with figures")

    @property
    def key(self) -> str:
        """What it replaces an older record by."""
        return f"{self.network} {self.target} {self.runtime}"


class IntegerMatrix:
    """Cells by their keys.

    Args:
        path: The JSON file; none yet is an empty matrix.
    """

    def __init__(self, path: Path = RESULTS) -> None:
        self.path = path
        self.conditions: Conditions | None = None
        self._cells: dict[str, IntegerCell] = {}
        if path.exists():
            value = json.loads(path.read_text())
            self.conditions = Conditions(**value["conditions"])
            self._cells = {one.key: one for one in (IntegerCell(**c) for c in value["cells"])}

    @property
    def cells(self) -> tuple[IntegerCell, ...]:
        """Every cell, in the order of networks, targets and runtimes."""
        order = [f"{n} {t} {r}" for n in NETWORKS for t, of in RUNTIMES_OF.items() for r in of]
        return tuple(self._cells[key] for key in order if key in self._cells)

    def start(self, conditions: Conditions) -> None:
        """Say under which conditions what is added is taken; forget what does not fit them."""
        if self.conditions and not conditions.fits(self.conditions):
            self._cells = {}
        self.conditions = conditions

    def has(self, network: str, target: str, runtime: str) -> bool:
        """Whether that cell was taken."""
        return f"{network} {target} {runtime}" in self._cells

    def add(self, cell: IntegerCell) -> None:
        """Put a cell in the place of an older one."""
        self._cells[cell.key] = cell
        if self.conditions is None:
            raise UsageError("a matrix without conditions", legal="call start() first")
        cells = [asdict(one) for one in self.cells]
        value = {"conditions": asdict(self.conditions), "cells": cells}
        write_bytes(self.path, (json.dumps(value, indent=1) + "\n").encode())


def failures(matrix: IntegerMatrix) -> list[str]:
    """Say of each cell that is not right what is wrong."""
    return [
        f"int8, {one.key}: {one.failure or f'{one.differing_count} wrong integers'}"
        for one in matrix.cells
        if not one.passed
    ]


def table(cells: Sequence[IntegerCell]) -> str:
    """Return the table of the document."""
    rows = [COLUMNS, ("---", "---", "---", *["---:"] * (len(COLUMNS) - 3))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (*rows, *map(_row, cells)))


def _row(cell: IntegerCell) -> tuple[str, ...]:
    where = (NETWORKS[cell.network], f"`{cell.target}`", cell.runtime)
    if cell.failure:
        return (*where, "**stops**", "-", "-", "-", "-")
    counts = (cell.layers_count, cell.values_count, cell.ties_count, cell.differing_count)
    figures = (*(f"{count:,}".replace(",", " ") for count in counts), str(cell.steps))
    return (*where, *figures) if cell.passed else (*where, *(f"**{one}**" for one in figures))

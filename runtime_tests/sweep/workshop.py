"""A sweep whose trainings and measurements are stood in for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from legoexport.errors import CheckFailed
from legoexport.sweep.folder import CellResult, Folder, Measurement
from legoexport.sweep.grid import Cell, Grid, Variant
from legoexport.sweep.request import SweepRequest
from legoexport.training.loop import Interrupted
from legoexport.training.recipe import Recipe

GRID = Grid((2, 4), (0.5,), (True,), (0, 1))


def request(out: Path, **changes: Any) -> SweepRequest:
    values: dict[str, Any] = {"arch": "lego_digits", "source": "digits", "grid": GRID}
    return SweepRequest(out=out, **values | {"recipe": Recipe()} | changes)


class Workshop:
    """Stands in for training and measuring, and may fail at one of the cells."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.converted: list[str] = []
        self.measured: list[str] = []
        self.interrupted_at: int | None = None
        self.failing: str | None = None

    def train(self, request: SweepRequest, folder: Folder, cell: Cell) -> CellResult:
        del request, folder
        if cell.name == self.failing:
            raise Interrupted(130)
        self.trained.append(cell.name)
        return CellResult(90, 100, 1.0)

    def convert(self, request: SweepRequest, folder: Folder, variant: Variant) -> Measurement:
        del request, folder
        self._hold(variant)
        self.converted.append(variant.name)
        return Measurement(1000, 4000)

    def time(
        self, request: SweepRequest, folder: Folder, variant: Variant, known: Measurement
    ) -> Measurement:
        del folder
        if len(self.measured) == self.interrupted_at:
            raise KeyboardInterrupt
        self.measured.append(variant.name)
        latencies = (*known.latencies_ms, float(len(self.measured)))
        return replace(known, latencies_ms=latencies, threads=request.bench_threads)

    def _hold(self, variant: Variant) -> None:
        if variant.name == self.failing:
            raise CheckFailed("it does not run")

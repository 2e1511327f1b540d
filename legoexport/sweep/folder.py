"""What a sweep leaves on disk: a file for each finished step, so that it can go on after a stop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from legoexport.errors import UsageError
from legoexport.host.atomic import write_bytes
from legoexport.host.staging import make_folder
from legoexport.sweep.grid import Cell, Variant


@dataclass(frozen=True)
class CellResult:
    """What a training gave.

    Attributes:
        correct_count: Held-out pictures that are classified correctly.
        test_count: Held-out pictures.
        training_seconds: Time that the steps took.
    """

    correct_count: int
    test_count: int
    training_seconds: float

    @property
    def accuracy(self) -> float:
        """Share of held-out pictures that are classified correctly."""
        return self.correct_count / self.test_count


@dataclass(frozen=True)
class Measurement:
    """What a converted file costs, and what it is worth if that is not what the training gave.

    Attributes:
        parameters_count: Weights and coefficients that are stored.
        size_bytes: Size of the ONNX file.
        latencies_ms: Median latency of one image, for each round of measuring so far.
        threads: Threads of ONNX Runtime; None before the first round.
        runtime: What ran it, with its version; likewise.
        correct_count: Held-out pictures that the file itself classifies correctly; None for one
            that is proved equal to the network as it was trained.
        test_count: Held-out pictures that it was given; likewise.
    """

    parameters_count: int
    size_bytes: int
    latencies_ms: tuple[float, ...] = ()
    threads: int | None = None
    runtime: str | None = None
    correct_count: int | None = None
    test_count: int | None = None

    @property
    def latency_ms(self) -> float:
        """That of the fastest round: what else the machine does only makes a file slower."""
        return min(self.latencies_ms)


@dataclass(frozen=True)
class Folder:
    """The folder of a sweep.

    Attributes:
        path: The folder; it is made when something is written.
    """

    path: Path

    def checkpoint(self, cell: Cell) -> Path:
        """Weights of a cell."""
        return self.path / "cells" / f"{cell.name}.pt"

    def model(self, variant: Variant) -> Path:
        """A converted file."""
        return self.path / "cells" / f"{variant.name}.onnx"

    def lock(self, cell: Cell) -> Path:
        """What a process holds while it trains a cell."""
        return self.path / "cells" / f".{cell.name}.lock"

    def hold_budget(self, budget: Mapping[str, object]) -> None:
        """Record what every cell is trained with, or check that it is still the same.

        Raises:
            UsageError: The folder holds cells that were trained otherwise, or cannot be made.
        """
        path = self.path / "budget.json"
        strangers = self._strangers()
        if strangers and not path.exists():
            raise UsageError(
                f"{self.path} holds something else",
                received=strangers[0],
                legal="a new or empty folder, or one that a sweep wrote",
                next_step="give another --out",
            )
        make_folder(self.path / "cells")
        if not path.exists():
            _write(path, budget)
        asked, known = _flat(json.loads(json.dumps(budget))), _flat(_read(path))
        changed = [key for key in asked | known if known.get(key) != asked.get(key)]
        if changed:
            raise UsageError(
                f"{self.path} holds cells that were trained otherwise",
                received=", ".join(f"{key}={asked.get(key)}" for key in changed),
                legal=", ".join(f"{key}={known.get(key)}" for key in changed),
                next_step="give another --out, or the same budget",
            )

    def _strangers(self) -> list[str]:
        """What is there that another call, at its start at the same time, has not made."""
        found = self.path.iterdir() if self.path.is_dir() else ()
        return sorted(one.name for one in found if one.name != "cells" and one.name[0] != ".")

    def result(self, cell: Cell) -> CellResult | None:
        """Return what a cell gave, or None if it is not finished."""
        return _load(self._result_path(cell), CellResult)

    def write_result(self, cell: Cell, result: CellResult) -> None:
        """Record that a cell is finished."""
        _write(self._result_path(cell), asdict(result))

    def measurement(self, variant: Variant) -> Measurement | None:
        """Return what a file costs, or None if it was not measured."""
        found = _load(self._measurement_path(variant), Measurement)
        return found and replace(found, latencies_ms=tuple(found.latencies_ms))

    def write_measurement(self, variant: Variant, measurement: Measurement) -> None:
        """Record what a file costs."""
        _write(self._measurement_path(variant), asdict(measurement))

    def _result_path(self, cell: Cell) -> Path:
        return self.path / "cells" / f"{cell.name}.json"

    def _measurement_path(self, variant: Variant) -> Path:
        return self.path / "cells" / f"{variant.name}.measured.json"


Record = TypeVar("Record", CellResult, Measurement)


def _write(path: Path, record: Mapping[str, Any]) -> None:
    write_bytes(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None
    if not isinstance(record, dict):
        raise _damaged(path, type(record).__name__)
    return record


def _flat(budget: Mapping[str, Any]) -> dict[str, Any]:
    """Return the budget with the values of its recipe beside the others."""
    recipe = budget.get("recipe")
    return {**budget, "recipe": None, **recipe} if isinstance(recipe, dict) else dict(budget)


def _load(path: Path, record_type: type[Record]) -> Record | None:
    if not path.exists():
        return None
    record = _read(path)
    try:
        return record_type(**record)
    except TypeError as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, received: object) -> UsageError:
    return UsageError(
        f"{path} is not as the sweep wrote it",
        received=received,
        next_step="delete it, and the sweep will repeat that step",
    )

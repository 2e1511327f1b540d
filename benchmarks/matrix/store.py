"""The matrix on disk: one JSON file, complete after every cell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.matrix.records import Cell, Conditions, FileRecord, read_cell, read_file
from legoexport.errors import UsageError
from legoexport.host.atomic import write_bytes

RESULTS = Path(__file__).parents[1] / "results" / "runtimes.json"


class Matrix:
    """Files and cells by their keys.

    Args:
        path: The JSON file; none yet is an empty matrix.

    Raises:
        UsageError: The file holds something else.
    """

    def __init__(self, path: Path = RESULTS) -> None:
        self.path = path
        self.conditions: Conditions | None = None
        self._files: dict[str, FileRecord] = {}
        self._cells: dict[str, Cell] = {}
        self._idle: dict[str, tuple[str, ...]] = {}
        if path.exists():
            try:
                self._read(path.read_text())
            except (ValueError, TypeError, KeyError) as error:
                raise UsageError(f"{path} holds no matrix", received=repr(error)) from None

    @property
    def files(self) -> tuple[FileRecord, ...]:
        """Every row, in the order in which they were first taken."""
        return tuple(self._files.values())

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell."""
        return tuple(self._cells.values())

    def start(self, conditions: Conditions) -> None:
        """Say under which conditions what is added is taken; forget what does not fit them."""
        if self.conditions and not conditions.fits(self.conditions):
            self._files, self._cells, self._idle = {}, {}, {}
        self.conditions = conditions

    def find(self, file: FileRecord, runtime: str) -> Cell | None:
        """Return the cell of that very file on a runtime, if it was taken."""
        return self._cells.get(f"{file.key} {runtime}")

    def idle(self, backbone: str) -> tuple[str, ...]:
        """Return the lowerings that serve no layer of a backbone, as far as is known."""
        return self._idle.get(backbone, ())

    def set_idle(self, backbone: str, lowerings: Sequence[str]) -> None:
        """Say which lowerings serve no layer of a backbone, and so have no row."""
        for key in [f"{backbone} {lowering}" for lowering in lowerings]:
            self._files.pop(key, None)
            self._cells = {
                name: one for name, one in self._cells.items() if not name.startswith(f"{key} ")
            }
        self._idle[backbone] = tuple(lowerings)
        self._write()

    def add_file(self, file: FileRecord) -> None:
        """Put a row in the place of an older one; cells of another file of its key are dropped."""
        self._files[file.key] = file
        self._cells = {
            key: cell
            for key, cell in self._cells.items()
            if not key.startswith(f"{file.key} ") or cell.sha256 == file.sha256
        }
        self._write()

    def add_cell(self, cell: Cell) -> None:
        """Put a cell in the place of an older one.

        Raises:
            UsageError: It was measured on another file than the row's.
        """
        file = self._files.get(f"{cell.backbone} {cell.lowering}")
        if file is None or file.sha256 != cell.sha256:
            legal = file and file.sha256
            raise UsageError("a cell of another file", received=cell.sha256, legal=legal)
        self._cells[cell.key] = cell
        self._write()

    def _read(self, text: str) -> None:
        value = json.loads(text)
        self.conditions = Conditions(**value["conditions"])
        self._files = {one.key: one for one in map(read_file, value["files"])}
        self._cells = {one.key: one for one in map(read_cell, value["cells"])}
        self._idle = {name: tuple(idle) for name, idle in value["idle"].items()}

    def _write(self) -> None:
        if self.conditions is None:
            raise UsageError("a matrix without conditions", legal="call start() first")
        value = {
            "conditions": asdict(self.conditions),
            "idle": self._idle,
            "files": [file.to_json() for file in self.files],
            "cells": [cell.to_json() for cell in self.cells],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(self.path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())

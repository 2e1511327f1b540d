"""What a worker of a sweep does: one training, in a process or on a machine of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from legoexport.errors import LegoExportError
from legoexport.host.atomic import write_bytes
from legoexport.host.lock import alone
from legoexport.signals import end_cleanly
from legoexport.sweep.folder import Folder
from legoexport.sweep.grid import Cell
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.train_cell import train_cell
from legoexport.training.loop import Interrupted


def work(request: SweepRequest, cell: Cell, accelerators: str | None = None) -> None:
    """Train a cell and leave what comes of it in the folder that all share.

    An error that says what is wrong is left there as a note, because another try would end alike.
    So is that the training was stopped, as before the time of a job is over: it has got further.
    Whatever else ends a worker leaves neither a result nor a note.

    Args:
        request: The sweep.
        cell: The training.
        accelerators: Those that CUDA may use; None leaves that to the surroundings.
    """
    _stop_when_told()
    if accelerators is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = accelerators
    try:
        _finish(request, Folder(request.out), cell)
    except Interrupted:
        write_bytes(stop_path(request, cell), b"")
    except LegoExportError as error:
        write_bytes(error_path(request, cell), str(error).encode())


def jobs_folder(request: SweepRequest) -> Path:
    """Return the folder for what is not part of the record: logs and notes."""
    return request.out / "jobs"


def error_path(request: SweepRequest, cell: Cell) -> Path:
    """Return where a worker says why its cell cannot be trained."""
    return jobs_folder(request) / f"{cell.name}.error.txt"


def stop_path(request: SweepRequest, cell: Cell) -> Path:
    """Return the file by which a worker says that it was stopped, and has saved its state."""
    return jobs_folder(request) / f"{cell.name}.stopped"


def _finish(request: SweepRequest, folder: Folder, cell: Cell) -> None:
    """Train a cell, unless another worker has: a sweep that is killed leaves its workers at it."""
    with alone(folder.lock(cell), "give an --out whose file system knows flock"):
        if folder.result(cell) is None:
            folder.write_result(cell, train_cell(request, folder, cell))


def _stop_when_told() -> None:
    """Save and stop at SIGTERM, and at what SLURM sends before the time of a job is over."""
    end_cleanly()
    signal.signal(signal.SIGUSR2, lambda *_: signal.raise_signal(signal.SIGTERM))

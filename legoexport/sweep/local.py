"""Workers of a sweep as processes of this machine, which share its processors and accelerators."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from legoexport.host.machine import usable_processors
from legoexport.sweep.engine import deaf_children, import_submitit, is_over
from legoexport.sweep.grid import Cell
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.worker import jobs_folder, work

if TYPE_CHECKING:
    import submitit

# A training ends by itself, so no process of this machine is given a time: submitit wants one.
NO_LIMIT_MINUTES = 366 * 24 * 60


@dataclass(frozen=True)
class LocalJob:
    """A process that watches over a worker, known by its number."""

    job: submitit.Job[None]

    @property
    def name(self) -> str:
        """Its number."""
        return f"process {self.job.job_id}"

    @property
    def log(self) -> Path:
        """What the worker writes to stderr."""
        return self.job.paths.stderr

    def is_over(self) -> bool:
        """Whether both processes have ended."""
        return is_over(self.job)

    def stop(self) -> None:
        """Send SIGTERM, which is passed on to the worker."""
        # Not job.cancel(): it leaves a worker one second to save.
        if not self.job.done():
            os.kill(int(self.job.job_id), signal.SIGTERM)


class LocalEngine:
    """Starts processes.

    Args:
        request: The sweep; its folder is there.
        workers_count: Workers at the same time.
    """

    def __init__(self, request: SweepRequest, workers_count: int) -> None:
        share = max(1, len(usable_processors()) // workers_count)
        self.request = replace(request, threads=request.threads or share)
        self.accelerators = _accelerators()
        self.executor = import_submitit().LocalExecutor(jobs_folder(request))
        self.executor.update_parameters(timeout_min=NO_LIMIT_MINUTES)

    def submit(self, cell: Cell, place: int) -> LocalJob:
        """Start a worker."""
        with deaf_children():
            return LocalJob(self.executor.submit(work, self.request, cell, self.shown_to(place)))

    def shown_to(self, place: int) -> str:
        """Return the accelerators that a worker may use, as CUDA names them.

        Each worker has one, in turn, unless ``--device cuda:1`` says which.
        """
        shown = self.accelerators
        if shown and ":" not in (self.request.device or ""):
            return shown[place % len(shown)]
        return ",".join(shown)


def _accelerators() -> tuple[str, ...]:
    """Return all that CUDA shows to this process."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(named.split(",")) if named else ()
    return tuple(map(str, range(torch.cuda.device_count())))

"""Runs the workers of a sweep by submitit: as processes of this machine, or as jobs of SLURM.

Submitit hands results back as pickles. They are not read: the folder of the sweep is the record.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from legoexport.errors import UsageError
from legoexport.host.machine import usable_processors
from legoexport.sweep.crew import Engine
from legoexport.sweep.grid import Cell
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.worker import jobs_folder, work

if TYPE_CHECKING:
    import submitit

# A training ends by itself, so no process of this machine is given a time: submitit wants one.
NO_LIMIT_MINUTES = 366 * 24 * 60


def check_installed() -> None:
    """Check that workers can be had.

    Raises:
        UsageError: Submitit is not installed.
    """
    if importlib.util.find_spec("submitit") is None:
        raise UsageError("workers need submitit", next_step="pip install 'legoexport[cluster]'")


def local_engine(request: SweepRequest, workers_count: int) -> Engine:
    """Return what runs workers on this machine; they share its processors and accelerators.

    Raises:
        UsageError: Submitit is not installed.
    """
    check_installed()
    share = max(1, len(usable_processors()) // workers_count)
    return _Local(replace(request, threads=request.threads or share))


def slurm_engine(request: SweepRequest, options: Mapping[str, str | bool]) -> Engine:
    """Return what sends workers to SLURM.

    Args:
        request: The sweep; its folder is one that all machines see.
        options: Long options of ``sbatch``; True for those without a value.

    Raises:
        UsageError: Submitit is not installed.
    """
    check_installed()
    return _Slurm(request, options)


@dataclass(frozen=True)
class _LocalJob:
    """A process that watches over a worker, known by its number."""

    job: submitit.Job[None]

    @property
    def name(self) -> str:
        return f"process {self.job.job_id}"

    def is_over(self) -> bool:
        return _is_over(self.job)

    def stop(self) -> None:
        # Not job.cancel(): it leaves a worker one second. SIGTERM is passed on and waited for.
        if not self.job.done():
            os.kill(int(self.job.job_id), signal.SIGTERM)


class _SlurmJob:
    """A job of SLURM."""

    def __init__(self, job: submitit.Job[None]) -> None:
        self.job = job
        self.name = f"job {job.job_id}"
        self.is_cancelled = False

    def is_over(self) -> bool:
        # SLURM sees to it that a cancelled job ends, in its own time.
        return self.is_cancelled or _is_over(self.job)

    def stop(self) -> None:
        self.job.cancel(check=False)
        self.is_cancelled = True


class _Local:
    def __init__(self, request: SweepRequest) -> None:
        self.request, self.accelerators = request, _accelerators()

    @cached_property
    def executor(self) -> submitit.Executor:
        """Made at the first cell, in a folder that is known to be a sweep's by then."""
        executor: submitit.Executor = _submitit().LocalExecutor(jobs_folder(self.request))
        executor.update_parameters(timeout_min=NO_LIMIT_MINUTES)
        return executor

    def submit(self, cell: Cell, place: int) -> _LocalJob:
        """Start a worker on one of the accelerators, or on the processors."""
        accelerators = self.accelerators
        one = accelerators[place % len(accelerators)] if accelerators else None
        with _deaf_children():
            return _LocalJob(self.executor.submit(work, self.request, cell, one))


class _Slurm:
    def __init__(self, request: SweepRequest, options: Mapping[str, str | bool]) -> None:
        self.request, self.options = request, options

    @cached_property
    def executor(self) -> submitit.Executor:
        """Made at the first cell, as for local workers."""
        executor: submitit.Executor = _submitit().SlurmExecutor(jobs_folder(self.request))
        # No time means that of the partition; submitit's own would be five minutes. Whatever ends
        # a job, the sweep sends it again, so SLURM must not do so too.
        extra: dict[str, Any] = {"no-requeue": True, **self.options}
        executor.update_parameters(job_name="legoexport", time=None, additional_parameters=extra)
        return executor

    def submit(self, cell: Cell, place: int) -> _SlurmJob:
        """Queue a worker."""
        del place
        with _explained():
            return _SlurmJob(self.executor.submit(work, self.request, cell))


def _submitit() -> ModuleType:
    """Import submitit, and keep its messages off stdout, which belongs to the table."""
    import submitit  # noqa: PLC0415 - needs the extra [cluster]

    logging.getLogger("submitit").handlers.clear()
    return submitit


def _is_over(job: submitit.Job[None]) -> bool:
    # Submitit takes a preempted job for one that comes back, which we have told SLURM not to do.
    over = job.done() or job.state.startswith("PREEMPTED")
    if over:  # what was handed over and back goes, and logs stay
        job.paths.submitted_pickle.unlink(missing_ok=True)
        job.paths.result_pickle.unlink(missing_ok=True)
    return over


def _accelerators() -> tuple[str, ...]:
    """Return the numbers of all that CUDA shows to this process."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(named.split(",")) if named else ()
    return tuple(map(str, range(torch.cuda.device_count())))


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that Ctrl-C on the terminal does not reach: the sweep tells them to stop."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _explained() -> Iterator[None]:
    """Say what SLURM said, where it takes no job."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        raise UsageError(
            "SLURM takes no job",
            received=error,
            next_step="change --slurm, or leave out --cluster slurm for workers of this machine",
        ) from None

"""Workers of a sweep as jobs of SLURM."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legoexport.errors import UsageError
from legoexport.sweep.engine import deaf_children, import_submitit, is_over
from legoexport.sweep.grid import Cell
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.worker import jobs_folder, work

if TYPE_CHECKING:
    import submitit

# Submitit sends jobs with the first two, asks for them with the third, ends them with the last.
PROGRAMS = ("sbatch", "srun", "sacct", "scancel")


def check_slurm() -> None:
    """Check that SLURM can be had.

    Raises:
        UsageError: Its programs are not on the path.
    """
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise UsageError(
            "sweep: --cluster slurm needs the programs of SLURM on this machine",
            received=f"no {', '.join(missing)} on the PATH",
            legal=", ".join(PROGRAMS),
            next_step="start it where sbatch works, or leave out --cluster for local workers",
        )


class SlurmJob:
    """A job of SLURM."""

    def __init__(self, job: submitit.Job[None]) -> None:
        self.job = job
        self.name = f"job {job.job_id}"
        self.log: Path = job.paths.stderr
        self.is_cancelled = False

    def is_over(self) -> bool:
        """Whether it has ended, or is cancelled: SLURM ends it then, in its own time."""
        return self.is_cancelled or is_over(self.job)

    def stop(self) -> None:
        """Cancel it: SLURM sends SIGTERM first."""
        self.job.cancel(check=False)
        self.is_cancelled = True


class SlurmEngine:
    """Sends jobs.

    Args:
        request: The sweep; its folder is there, and all machines see it.
        options: Long options of ``sbatch``; True for those without a value.
    """

    def __init__(self, request: SweepRequest, options: Mapping[str, str | bool]) -> None:
        self.request = request
        self.executor = import_submitit().SlurmExecutor(jobs_folder(request))
        # No time means that of the partition; submitit's own would be five minutes. Whatever ends
        # a job, the sweep sends it again, so SLURM must not do so too.
        extra: dict[str, Any] = {"no-requeue": True, **options}
        self.executor.update_parameters(
            job_name="legoexport", time=None, additional_parameters=extra
        )

    def submit(self, cell: Cell, place: int) -> SlurmJob:
        """Queue a worker.

        Raises:
            UsageError: SLURM does not take it.
        """
        del place
        try:
            with deaf_children():
                return SlurmJob(self.executor.submit(work, self.request, cell))
        except (RuntimeError, OSError) as error:
            raise UsageError(
                "SLURM takes no job", received=error, next_step="change --slurm"
            ) from None

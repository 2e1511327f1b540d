"""The workers of ``legoexport sweep --workers``: how many, where, and how often to try again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from legoexport.errors import UsageError
from legoexport.host.progress import Progress

if TYPE_CHECKING:
    from legoexport.sweep.engine import Engine
    from legoexport.sweep.request import SweepRequest

CLUSTERS = ("local", "slurm")
RETRIES_COUNT = 3
SBATCH_OPTION = re.compile(r"(?P<key>[a-z][a-z0-9-]*)(?:=(?P<value>\S.*))?")


@dataclass(frozen=True)
class Workers:
    """Workers of a sweep.

    Attributes:
        count: Networks that are trained at the same time.
        is_slurm: Whether they are jobs of SLURM, and not processes of this machine.
        slurm: Long options of ``sbatch``; True for those without a value.
        retries_count: How often a network is sent again whose worker died.
    """

    count: int
    is_slurm: bool = False
    slurm: Mapping[str, str | bool] = field(default_factory=dict)
    retries_count: int = RETRIES_COUNT

    def train(self, request: SweepRequest, tell: Progress) -> None:
        """Train every network of a sweep.

        Raises:
            UsageError: Submitit or SLURM is not at hand, SLURM takes no job, or the request is
                refused.
            CheckFailed: Some networks failed.
            Interrupted: The user stopped it.
        """
        from legoexport.sweep.crew import train_with_workers
        from legoexport.sweep.engine import check_installed
        from legoexport.sweep.run import begin
        from legoexport.sweep.slurm import check_slurm

        check_installed()
        if self.is_slurm:
            check_slurm()
        begin(request)
        train_with_workers(request, self._engine(request), self.count, self.retries_count, tell)

    def _engine(self, request: SweepRequest) -> Engine:
        from legoexport.sweep.local import LocalEngine
        from legoexport.sweep.slurm import SlurmEngine

        if self.is_slurm:
            return SlurmEngine(request, self.slurm)
        return LocalEngine(request, self.count)


def parse_workers(
    count: int | None, cluster: str | None, slurm: Sequence[str], retries_count: int | None
) -> Workers | None:
    """Return the workers that the options name, or None for a sweep in one process.

    Raises:
        UsageError: An option says something of workers that are not asked for, or is none of SLURM.
    """
    if count is None:
        given = {"--cluster": cluster, "--slurm": slurm or None, "--retries": retries_count}
        for name in (name for name, value in given.items() if value is not None):
            raise UsageError(f"sweep: {name} is of workers", next_step="add --workers N")
        return None
    if slurm and cluster != "slurm":
        raise UsageError("sweep: --slurm is of SLURM", next_step="add --cluster slurm")
    options = dict(map(_sbatch_option, slurm))
    retries = RETRIES_COUNT if retries_count is None else retries_count
    return Workers(count, cluster == "slurm", options, retries)


def _sbatch_option(text: str) -> tuple[str, str | bool]:
    found = SBATCH_OPTION.fullmatch(text)
    if found is None:
        legal = "a long option of sbatch without its dashes, such as partition=gpu or exclusive"
        raise UsageError("sweep: --slurm", received=text, legal=legal)
    return found["key"], found["value"] or True

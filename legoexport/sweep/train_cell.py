"""One training of a sweep."""

from __future__ import annotations

from legoexport.models.registry import find_architecture
from legoexport.sweep.folder import CellResult, Folder
from legoexport.sweep.grid import Cell, Design
from legoexport.sweep.request import SweepRequest
from legoexport.training import state
from legoexport.training.request import TrainingRequest
from legoexport.training.run import carry_out


def train_cell(request: SweepRequest, folder: Folder, cell: Cell) -> CellResult:
    """Train a cell, or continue where its training stopped, and write its checkpoint.

    Raises:
        UsageError: The network and the pictures do not fit together.
        CheckFailed: The training diverged.
    """
    out = folder.checkpoint(cell)
    trained = carry_out(
        TrainingRequest(
            arch=arch_of(request, cell.design),
            source=request.source,
            out=out,
            recipe=request.recipe,
            hyperparameters=cell.design.hyperparameters,
            seed=cell.seed,
            device=request.device,
            threads=request.threads,
            image_size=request.image_size,
            resumes=state.state_path(out).exists(),
        )
    )
    seconds = sum(result.training_seconds for result in trained.results)
    return CellResult(trained.correct_count, trained.test_count, seconds)


def arch_of(request: SweepRequest, design: Design) -> str:
    """Return the architecture of a design: the LegoNet that was asked for, or its dense twin."""
    architecture = find_architecture(request.arch)
    return architecture.twin if design.is_dense else architecture.name

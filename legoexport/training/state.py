"""The state of a training on disk: all that is needed to go on as if nothing had happened.

It needs no state of a random generator, because each step's numbers follow from its position.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from legoexport.errors import UsageError
from legoexport.host import atomic
from legoexport.training.results import EpochResult
from legoexport.training.schedule import Position
from legoexport.training.session import Session

FORMAT = "legoexport training"
VERSION = 2


def state_path(checkpoint: Path) -> Path:
    """Return where the state of a training that will write ``checkpoint`` is kept."""
    return checkpoint.with_name(f"{checkpoint.name}.state")


def save(path: Path, session: Session, identity: Mapping[str, object]) -> None:
    """Write the state, whole or not at all; every rank must call this, and the first one writes.

    Args:
        path: The file.
        session: Between two steps.
        identity: What the training is, in plain values; `restore` compares it.

    Raises:
        UsageError: The file cannot be written.
    """
    loss_sum = session.setting.ranks.sum(session.loss_sum)
    if not session.setting.ranks.leads:
        return
    state = {
        "format": FORMAT,
        "version": VERSION,
        "identity": dict(identity),
        "position": asdict(session.position),
        "results": [asdict(result) for result in session.results],
        "module": session.module.state_dict(),
        "average": session.average.module.state_dict() if session.average else None,
        "optimizers": [each.state_dict() for each in session.optimizers],
        "loss_sum": loss_sum,
        "training_seconds": session.training_seconds,
        "choices_before": session.choices_before,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    atomic.write_bytes(path, buffer.getvalue())


def restore(path: Path, session: Session, identity: Mapping[str, object]) -> None:
    """Put a fresh session where the saved one stood.

    Raises:
        UsageError: The file is missing, not a training state, or belongs to another training.
    """
    state = _read(path, session.setting.device)
    _compare(path, state["identity"], identity)
    session.position = Position(**state["position"])
    session.results = [EpochResult(**result) for result in state["results"]]
    session.module.load_state_dict(state["module"])
    if session.average:
        session.average.module.load_state_dict(state["average"])
    for each, saved in zip(session.optimizers, state["optimizers"], strict=True):
        each.load_state_dict(saved)
    # The sum over all ranks, so only one of them continues from it.
    session.loss_sum.copy_(state["loss_sum"] * session.setting.ranks.leads)
    session.training_seconds = state["training_seconds"]
    session.choices_before = state["choices_before"]


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UsageError(
            f"there is no training to resume: {path} does not exist", next_step="leave out --resume"
        ) from None
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise UsageError(f"{path} cannot be read", received=error) from None
    if not isinstance(state, dict) or (state.get("format"), state.get("version")) != (
        FORMAT,
        VERSION,
    ):
        raise UsageError(f"{path} is not a training state", legal=f"{FORMAT}, version {VERSION}")
    return state


def _compare(path: Path, saved: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    names = [name for name in wanted if saved.get(name) != wanted[name]]
    if names:
        raise UsageError(
            f"{path} is of another training",
            received=", ".join(f"{name} {wanted[name]}" for name in names),
            legal=", ".join(f"{name} {saved.get(name)}" for name in names),
            next_step="resume with the options it was started with",
        )

"""The training loop: epochs of steps, and what is done between them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from legoexport.errors import CheckFailed
from legoexport.signals import exit_code
from legoexport.training import masks
from legoexport.training.data.images import ImageData
from legoexport.training.recipe import Recipe
from legoexport.training.results import EpochResult
from legoexport.training.session import Session, Setting


class Interrupted(Exception):  # noqa: N818 - no error: the user asked for it
    """The training stopped between two steps, as asked; its state is saved.

    Args:
        exit_code: Of a process that stops so.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Watch:
    """Callbacks that are told what happens and may ask to save or stop.

    Attributes:
        step: Called after each step.
        epoch: Called after each epoch with what it gave.
        save: Called to save the state, by all ranks at the same step, and after the last epoch.
        wants_save: Asked after each step and epoch; if one rank wants it, all save.
        wants_stop: Asked then too; the state is saved, and the training stops.
        exit_code: What the process ends with if it stops.
    """

    step: Callable[[Session], None] = lambda _: None
    epoch: Callable[[Session, EpochResult], None] = lambda *_: None
    save: Callable[[Session], None] = lambda _: None
    wants_save: Callable[[], bool] = lambda: False
    wants_stop: Callable[[], bool] = lambda: False
    exit_code: Callable[[], int] = lambda: exit_code(signal.SIGINT)


def train(
    module: nn.Module,
    data: ImageData,
    recipe: Recipe,
    observe: Callable[[EpochResult], None] = lambda _: None,
    *,
    seed: int = 0,
) -> tuple[EpochResult, ...]:
    """Train ``module`` in place; the same seed gives the same weights.

    Args:
        module: A network, with Lego layers or without.
        data: Pictures to train and to test on.
        recipe: How to train.
        observe: Called after each epoch.
        seed: Seed of the order of the pictures and of their changes.

    Returns:
        What each epoch gave. ``module`` has the average of the weights if the recipe has one, and
        is in eval mode.
    """
    session = Session(module, Setting(data, recipe, seed))
    run(session, Watch(epoch=lambda _, result: observe(result)))
    module.load_state_dict(session.best_module.state_dict())
    module.eval()
    return tuple(session.results)


def run(session: Session, watch: Watch) -> None:
    """Run the rest of a training.

    Raises:
        Interrupted: The watch asked for it.
        CheckFailed: The loss is no longer finite.
    """
    with masks.balanced(session.module, session.setting.recipe.balance_weight):
        while not session.is_done:
            session.enter_epoch()
            while session.position.step < session.batches.steps_per_epoch:
                session.step()
                watch.step(session)
                _obey(session, watch)
            hold_finite(session)
            watch.epoch(session, session.leave_epoch())
            _obey(session, watch)
        watch.save(session)  # what is left to do then is short


def _obey(session: Session, watch: Watch) -> None:
    """Save or stop if any rank wants to; all do so at the same step."""
    wishes = (watch.wants_save(), watch.wants_stop())
    save, stop = session.setting.ranks.any(wishes, session.setting.device)
    if save or stop:
        hold_finite(session)
        watch.save(session)
    if stop:
        raise Interrupted(watch.exit_code())


def hold_finite(session: Session) -> None:
    """Check that the loss is finite, before anything is written.

    Raises:
        CheckFailed: The loss is not finite.
    """
    if not session.setting.ranks.sum(session.loss_sum).isfinite():
        position = session.position
        raise CheckFailed(
            f"the training diverged by epoch {position.epoch}, step {position.step}",
            received=f"loss {float(session.loss_sum)}",
            next_step="lower the learning rate, such as --recipe learning_rate=0.05",
        )

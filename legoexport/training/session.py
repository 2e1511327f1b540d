"""A training under way: everything that its steps change, in one place."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from legoexport.training import masks
from legoexport.training.average import Average
from legoexport.training.batches import Batch, Batches, Draws
from legoexport.training.data.images import ImageData
from legoexport.training.evaluate import count_correct
from legoexport.training.objective import loss_sum
from legoexport.training.optimizers import optimizers, set_rates
from legoexport.training.passes import RecordedPass
from legoexport.training.precision import EXACT, Precision
from legoexport.training.ranks import ALONE, Ranks
from legoexport.training.recipe import Recipe
from legoexport.training.results import EpochResult
from legoexport.training.schedule import Position, rate_share
from legoexport.training.shared_batch_norm import share_batch_norms
from legoexport.training.teacher import Teacher


@dataclass(frozen=True)
class Setting:
    """What stays the same throughout a training.

    Attributes:
        data: The pictures, on the device to train on.
        recipe: What to do with them.
        seed: Seed of all random numbers except the network's first weights.
        precision: The numbers that a step computes in.
        ranks: Processes that share each batch.
        teacher: A network whose scores are learned too, if there is one.
    """

    data: ImageData
    recipe: Recipe
    seed: int = 0
    precision: Precision = EXACT
    ranks: Ranks = field(default=ALONE)
    teacher: Teacher | None = None

    @property
    def device(self) -> torch.device:
        """Where the training runs."""
        return self.data.train_images.device


class Session:
    """The moving parts of a training, and the one step that moves them.

    Args:
        module: The network, on the device of the data; trained in place.
        setting: What stays the same.

    Attributes:
        position: The next step to make.
        results: One for each epoch done.
        average: Moving average of the weights, if the recipe has one.
        optimizers: What moves the parameters, with its momentum.
        loss_sum: Sum over the pictures that this process has shown in this epoch, float64.
        choices_before: What each mask chose when this epoch began.
        training_seconds: Time that the steps of this epoch have taken so far.
    """

    def __init__(self, module: nn.Module, setting: Setting) -> None:
        self.module, self.setting = module, setting
        self.position, self.results = Position(), list[EpochResult]()
        setting.precision.place(module)
        decay = setting.recipe.ema_decay
        self.average = Average(module, decay) if decay else None
        if setting.ranks.count > 1:
            share_batch_norms(module)
        self.batches = Batches(
            setting.data, setting.recipe, setting.seed, setting.ranks.rank, setting.ranks.count
        )
        self.optimizers = optimizers(module, setting.recipe, bfloat16=setting.precision.bfloat16)
        self.choices_before = masks.choices(module)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=setting.device)
        self.training_seconds = 0.0
        self._draws: Draws | None = None
        self._network: nn.Module | None = None
        self._recorded: RecordedPass | None = None
        self._recorded_with: list[bool] = []

    @property
    def best_module(self) -> nn.Module:
        """The network to test and to keep: the average of the weights, or the weights."""
        return self.average.module if self.average else self.module

    @property
    def is_done(self) -> bool:
        """Whether every epoch is done."""
        return self.position.epoch > self.setting.recipe.epochs

    @property
    def shown_count(self) -> int:
        """Pictures shown in this epoch so far, by all processes."""
        shown = self.position.step * self.setting.recipe.batch_size
        return min(shown, len(self.setting.data.train_labels))

    def enter_epoch(self) -> None:
        """Prepare this epoch, at its start or wherever the training goes on in it."""
        recipe, epoch = self.setting.recipe, self.position.epoch
        if not recipe.learns_masks(epoch):
            masks.freeze_masks(self.module)
        if self.position.step == 0:
            self.choices_before = masks.choices(self.module)
            self.loss_sum.zero_()
            self.training_seconds = 0.0
            if recipe.restarts_after_warmup and epoch - 1 == recipe.warmup_epochs:
                for each in self.optimizers:
                    each.state.clear()
        self._draws = self.batches.draw(epoch)
        self._network = self._parallel()
        self._network.train()
        self._choose_pass()

    def _parallel(self) -> nn.Module:
        """Wrap the network for its ranks, which note what is learned: anew when masks freeze."""
        if self.setting.ranks.count == 1:
            return self.module
        self._network = None
        with warnings.catch_warnings():
            # Its new name for the option is unknown to the torch versions before.
            warnings.simplefilter("ignore", FutureWarning)
            # Shared batch norms keep the buffers of all ranks equal.
            return DistributedDataParallel(self.module, broadcast_buffers=False)

    def step(self) -> None:
        """Show one batch and move the weights."""
        start = time.monotonic()
        self._learn()
        self.training_seconds += time.monotonic() - start

    def _choose_pass(self) -> None:
        """Record the passes of one process on CUDA: anew when masks freeze."""
        if self.setting.device.type != "cuda" or self.setting.ranks.count > 1:
            return
        learned = [each.requires_grad for each in self.module.parameters()]
        if learned != self._recorded_with:
            self._recorded = RecordedPass(self._compute, self.setting.recipe.batch_size)
            self._recorded_with = learned

    def _learn(self) -> None:
        assert self._draws is not None  # noqa: S101 - enter_epoch made them
        batch = self.batches.at(self.position.step, self._draws)
        batch = replace(batch, images=self.setting.precision.laid_out(batch.images))
        loss = self._recorded(batch) if self._recorded else self._compute(batch, keeps=False)
        self._move()
        self.loss_sum += loss

    def _compute(self, batch: Batch, *, keeps: bool) -> Tensor:
        """Leave the gradients of the batch's mean loss, and return the sum of its losses."""
        assert self._network is not None  # noqa: S101 - enter_epoch made it
        setting = self.setting
        self.module.zero_grad(set_to_none=not keeps)
        scores = setting.precision.scores(self._network, batch.images)
        taught = setting.teacher.scores(batch.images) if setting.teacher else None
        loss = loss_sum(scores, batch.labels, setting.recipe, taught)
        # Ranks average their gradients: this makes it the mean over the whole batch.
        mean = loss * (setting.ranks.count / batch.whole_count)
        mean.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _move(self) -> None:
        recipe, position = self.setting.recipe, self.position
        steps_per_epoch = self.batches.steps_per_epoch
        set_rates(self.optimizers, rate_share(recipe, position, steps_per_epoch))
        for each in self.optimizers:
            each.step()
        if self.average:
            steps_done = (position.epoch - 1) * steps_per_epoch + position.step + 1
            self.average.update(steps_done)
        self.position = Position(position.epoch, position.step + 1)

    def leave_epoch(self) -> EpochResult:
        """Test the network and begin the next epoch.

        Returns:
            What the epoch gave, also kept in ``results``.
        """
        setting, data = self.setting, self.setting.data
        mean_loss = self._mean_loss()
        correct = count_correct(
            self.best_module, data, precision=setting.precision, ranks=setting.ranks
        )
        result = EpochResult(
            epoch=self.position.epoch,
            mean_loss=mean_loss,
            test_accuracy=correct / len(data.test_labels),
            changed_choices_count=masks.count_changed(
                self.choices_before, masks.choices(self.module)
            ),
            learning_rate=self.optimizers[0].param_groups[0]["lr"],
            training_seconds=self.training_seconds,
            images_per_second=len(data.train_labels) / self.training_seconds,
        )
        self.results.append(result)
        self.position = Position(self.position.epoch + 1)
        return result

    def _mean_loss(self) -> float:
        """Mean over the epoch; an accelerator's steps are done when it is known, and are timed."""
        start = time.monotonic()
        loss_sum = float(self.setting.ranks.sum(self.loss_sum))
        self.training_seconds += time.monotonic() - start
        return loss_sum / len(self.setting.data.train_labels)

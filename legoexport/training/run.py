"""A whole training, from pictures to checkpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console

from legoexport.errors import UsageError
from legoexport.host.kinds import Kind
from legoexport.host.outputs import Output, check_outputs
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build, find_architecture
from legoexport.training import precision, state
from legoexport.training.board import Board
from legoexport.training.data.arrays import write_test_images
from legoexport.training.data.source import Loaded, load
from legoexport.training.evaluate import count_correct
from legoexport.training.fit import choose_device, fingerprint, fit_hyperparameters, hold_batches
from legoexport.training.interrupt import Interrupt
from legoexport.training.log import EpochProgress, write_csv
from legoexport.training.loop import Interrupted, Watch, run
from legoexport.training.ranks import ALONE, Ranks
from legoexport.training.request import TrainingRequest
from legoexport.training.results import EpochResult
from legoexport.training.session import Session, Setting
from legoexport.training.start import find_start
from legoexport.training.teacher import find_teacher


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        results: One for each epoch.
        correct_count: Test pictures that the checkpoint classifies correctly, in float32.
        test_count: Test pictures.
    """

    results: tuple[EpochResult, ...]
    correct_count: int
    test_count: int

    @property
    def test_accuracy(self) -> float:
        """Share of test pictures that are classified correctly."""
        return self.correct_count / self.test_count


def carry_out(request: TrainingRequest, ranks: Ranks = ALONE) -> Trained:
    """Train a network and write its checkpoint, its state and its log.

    Args:
        request: What to train, on which pictures, and how.
        ranks: Processes that train together.

    Raises:
        UsageError: The request does not fit together, or the state to resume from does not fit it.
        CheckFailed: The training diverged.
        Interrupted: The user stopped it; its state is saved.
    """
    _hold_paths(request)
    if request.threads:
        torch.set_num_threads(request.threads)
    channels = find_architecture(request.arch).channels
    loaded = load(request.source, channels=channels, size=request.image_size)
    console = Console(stderr=True, quiet=not ranks.leads)
    with Interrupt() as interrupt:
        return _Run(request, loaded, ranks, console, interrupt).carry_out()


def _hold_paths(request: TrainingRequest) -> None:
    """Check before hours of training what would fail after them."""
    path = state.state_path(request.out)
    if path.exists() and not request.resumes:
        raise UsageError(
            f"{path} holds an unfinished training",
            next_step="continue it with --resume, or delete the file to begin anew",
        )
    outputs = [
        Output("--out", request.out, Kind.CHECKPOINT),
        Output("--log", request.csv_path, Kind.TEXT),
        Output("the state beside --out,", path, Kind.CHECKPOINT),
    ]
    if request.test_images:
        outputs.append(Output("--test-images", request.test_images, Kind.ARRAYS))
    inputs = {
        "--data": Path(request.source),
        "--start": request.start,
        "--teacher": request.teacher,
    }
    check_outputs(outputs, inputs, force=request.force)


class _Run:
    """One training with its files and its progress."""

    def __init__(
        self,
        request: TrainingRequest,
        loaded: Loaded,
        ranks: Ranks,
        console: Console,
        interrupt: Interrupt,
    ) -> None:
        self.start, request = find_start(request)
        self.request, self.loaded, self.interrupt = request, loaded, interrupt
        self.hyperparameters = fit_hyperparameters(request, loaded.data)
        self.device = choose_device(request.device, ranks)
        self.precision = precision.choose(self.device, mixed=request.mixed)
        data = loaded.data.to(self.device)
        hold_batches(data, request.recipe, ranks)
        teacher = find_teacher(request.teacher, data, self.precision)
        self.setting = Setting(data, request.recipe, request.seed, self.precision, ranks, teacher)
        self.identity = self._identity()
        self.progress = EpochProgress(request.recipe, len(data.train_labels), console)
        self.board = Board(request.tensorboard if ranks.leads else None)
        self.saved_at = time.monotonic()

    def carry_out(self) -> Trained:
        """Train, and write what is left to write."""
        session = self._begin()
        with self.progress as progress:
            progress.say(self._heading())
            run(session, self._watch())
        trained = self._finish(session)
        if self.request.test_images and self.setting.ranks.leads:
            write_test_images(self.request.test_images, self.loaded.data)
        if self.interrupt.was_asked():  # too late to stop; the state makes a second finish short
            raise Interrupted(self.interrupt.exit_code)
        if self.setting.ranks.leads:
            state.state_path(self.request.out).unlink(missing_ok=True)
        return trained

    def _begin(self) -> Session:
        torch.manual_seed(self.request.seed)
        module = build(self.request.arch, **self.hyperparameters).to(self.device)
        self.start.load(module)
        session = Session(module, self.setting)
        if self.request.resumes:
            state.restore(state.state_path(self.request.out), session, self.identity)
        return session

    def _identity(self) -> dict[str, object]:
        return {
            "arch": self.request.arch,
            "hyperparameters": self.hyperparameters,
            "recipe": asdict(self.request.recipe),
            "seed": self.request.seed,
            "bfloat16": self.precision.bfloat16,
            "data": fingerprint(self.loaded.data),
            "start_sha256": self.start.sha256,
            "teacher_sha256": self.setting.teacher.sha256 if self.setting.teacher else None,
        }

    def _heading(self) -> str:
        data, ranks = self.loaded.data, self.setting.ranks
        return (
            f"{len(data.train_labels)} + {len(data.test_labels)} pictures of {data.class_count}"
            f" classes, {'x'.join(map(str, data.input_shape))}, read at"
            f" {self.loaded.images_per_second:.0f} images/s\n"
            f"training {self.request.arch} on {self.device},"
            f" {'bfloat16' if self.precision.bfloat16 else 'float32'},"
            f" {torch.get_num_threads()} threads, {ranks.count} processes"
        )

    def _watch(self) -> Watch:
        return Watch(
            step=self._step,
            epoch=self._epoch,
            save=self._save,
            wants_save=self._wants_save,
            wants_stop=self.interrupt.was_asked,
            exit_code=lambda: self.interrupt.exit_code,
        )

    def _step(self, session: Session) -> None:
        if self.progress.is_due():
            mean_loss = float(session.loss_sum) * self.setting.ranks.count / session.shown_count
            position = session.position
            self.progress.step(
                position.epoch, session.shown_count, mean_loss, session.training_seconds
            )

    def _epoch(self, session: Session, result: EpochResult) -> None:
        self.progress.epoch(result)
        if self.setting.ranks.leads:
            self.board.write(result)
            write_csv(self.request.csv_path, session.results)
            self._write_checkpoint(session, {"epochs_done": result.epoch})

    def _wants_save(self) -> bool:
        waited = time.monotonic() - self.saved_at
        return self.setting.ranks.leads and waited >= self.request.save_seconds

    def _save(self, session: Session) -> None:
        state.save(state.state_path(self.request.out), session, self.identity)
        self.saved_at = time.monotonic()

    def _finish(self, session: Session) -> Trained:
        """Count in float32, as every reader of the checkpoint will."""
        data, ranks = self.setting.data, self.setting.ranks
        correct = count_correct(session.best_module, data, ranks=ranks)
        trained = Trained(tuple(session.results), correct, len(data.test_labels))
        if ranks.leads:
            facts = {"epochs_done": len(session.results), "correct_count": correct}
            self._write_checkpoint(session, {**facts, "test_accuracy": trained.test_accuracy})
        return trained

    def _write_checkpoint(self, session: Session, facts: Mapping[str, object]) -> None:
        data = self.setting.data
        training = {
            **self.identity,
            **facts,
            "results": [asdict(result) for result in session.results],
            "class_names": list(data.class_names),
            "mean": list(data.mean),
            "std": list(data.std),
        }
        write_checkpoint(
            self.request.out,
            session.best_module,
            arch=self.request.arch,
            hyperparameters=self.hyperparameters,
            training=training,
        )

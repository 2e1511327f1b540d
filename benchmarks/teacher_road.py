"""From pictures to LegoNets as good as their dense network: train, fit, learn from it.

    python -m benchmarks.teacher_road cifar10-jpeg.zip road --device cuda --minutes 9

Trains the dense network for a few epochs and for many, fits LegoNets to both, and trains each of
them with the dense network as teacher, with the labels alone, and from random weights. When the
minutes are over, or at Ctrl-C, a training under way saves its state and stops. Cells that are done
are skipped and one that was stopped goes on, so the same command continues. Writes
road/results.json after each cell and prints what there is.
"""

from __future__ import annotations

import _thread
import argparse
import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from legoexport.host import atomic
from legoexport.host.report import print_table
from legoexport.models.checkpoint import read_checkpoint
from legoexport.models.registry import find_architecture
from legoexport.training.from_dense import fit
from legoexport.training.loop import Interrupted
from legoexport.training.recipe import Recipe, choose
from legoexport.training.request import TrainingRequest
from legoexport.training.run import carry_out
from legoexport.training.state import state_path

BASE = (2, 0.5)
# The designs of the paper's Table 1 in the order in which they are wanted.
DESIGNS = (BASE, (4, 0.25), (2, 0.25), (4, 0.5))


@dataclass(frozen=True)
class Cell:
    """One training, or one fit.

    Attributes:
        name: Of its checkpoint.
        design: o and m ratio; None is the dense network.
        recipe: How to train; None only fits.
        start: Name of the cell to start from, or of the dense network to fit to.
        teacher: Name of the cell to learn from.
    """

    name: str
    design: tuple[int, float] | None
    recipe: Recipe | None
    start: str | None = None
    teacher: str | None = None


@dataclass(frozen=True)
class Result:
    """What a cell gave.

    Attributes:
        name: Of the cell.
        correct_count: Test pictures that are right.
        test_count: Test pictures.
        epochs: Passes over the pictures.
        seconds: Time it took, reading the pictures included.
    """

    name: str
    correct_count: int
    test_count: int
    epochs: int
    seconds: float


@dataclass(frozen=True)
class Road:
    """The trainings of one command.

    Attributes:
        data: Pictures, as for train.
        folder: Folder for checkpoints and results.
        arch: Registry name of the LegoNet.
        device: Where to train.
        short_epochs: Of the dense network that is trained shortly.
        long_epochs: Of the dense network that is trained long, and of trainings beside it.
    """

    data: str
    folder: Path
    arch: str
    device: str
    short_epochs: int
    long_epochs: int

    def cells(self) -> Iterator[Cell]:
        """Yield the cells, those that are wanted most first."""
        yield Cell("dense-short", None, choose("short", epochs=self.short_epochs))
        yield from self._taught("short", BASE, choose("finetune"))
        yield from self._taught("short", DESIGNS[1], choose("finetune"))
        many = choose("short", epochs=self.long_epochs)
        yield Cell("dense-long", None, many)
        yield from self._taught("long", BASE, choose("finetune"))
        yield from self._longer(BASE)
        yield from self._longer(DESIGNS[1])
        yield Cell(f"{_label(BASE)}-scratch", BASE, many)
        for design in DESIGNS[2:]:
            yield from self._longer(design)
        alone = choose("finetune")
        fitted = f"{_label(BASE)}-fit-long"
        yield Cell(f"{_label(BASE)}-labels-long", BASE, alone, fitted)

    def _taught(self, dense: str, design: tuple[int, float], recipe: Recipe) -> Iterator[Cell]:
        fitted = f"{_label(design)}-fit-{dense}"
        yield Cell(fitted, design, None, f"dense-{dense}")
        name = f"{_label(design)}-taught-{dense}"
        yield Cell(name, design, recipe, fitted, f"dense-{dense}")

    def _longer(self, design: tuple[int, float]) -> Iterator[Cell]:
        """As many epochs as the dense network, whose choices may still change."""
        changes = {"learning_rate": 0.05, "weight_decay": 5e-4, "mask_rate_ratio": 0.1}
        changes |= {"warmup_epochs": self.long_epochs // 2}
        # What makes the most of four epochs was not tried over many.
        changes |= {"bank_step_ratio": 0.0, "coefficient_step_ratio": 0.0, "max_shift_pixels": 4}
        recipe = choose("finetune", epochs=self.long_epochs, changes=changes)
        fitted = f"{_label(design)}-fit-long"
        yield Cell(fitted, design, None, "dense-long")
        yield Cell(f"{_label(design)}-longer", design, recipe, fitted, "dense-long")

    def path(self, name: str) -> Path:
        """Path of a cell's checkpoint."""
        return self.folder / f"{name}.pt"

    def carry_out(self, cell: Cell) -> Result:
        """Train or fit a cell."""
        start = time.monotonic()
        if cell.recipe is None:
            correct, count, epochs = *self._fit(cell), 0
        else:
            correct, count, epochs = *self._train(cell, cell.recipe), cell.recipe.epochs
        return Result(cell.name, correct, count, epochs, time.monotonic() - start)

    def _fit(self, cell: Cell) -> tuple[int, int]:
        assert cell.design is not None  # noqa: S101 - what is fitted is a LegoNet
        assert cell.start is not None  # noqa: S101
        dense = read_checkpoint(self.path(cell.start), dense=True)
        o, m_ratio = cell.design
        result = fit(dense, o=o, m_ratio=m_ratio, data=self.data, device=self.device)
        result.save(self.path(cell.name))
        assert result.correct is not None  # noqa: S101 - pictures were given
        return result.correct.lego_count, result.correct.images_count

    def _train(self, cell: Cell, recipe: Recipe) -> tuple[int, int]:
        out = self.path(cell.name)
        request = TrainingRequest(
            arch=self.arch if cell.design else find_architecture(self.arch).twin,
            source=self.data,
            out=out,
            recipe=recipe,
            hyperparameters={} if cell.start else _hyperparameters(cell.design),
            device=self.device,
            resumes=state_path(out).exists(),
            start=self.path(cell.start) if cell.start else None,
            teacher=self.path(cell.teacher) if cell.teacher else None,
        )
        trained = carry_out(request)
        return trained.correct_count, trained.test_count


def _label(design: tuple[int, float]) -> str:
    return f"o{design[0]}-m{design[1]:g}"


def _hyperparameters(design: tuple[int, float] | None) -> Mapping[str, object]:
    return {"o": design[0], "m_ratio": design[1]} if design else {}


def main() -> None:
    """Train what is not trained yet, while there is time, and print what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--arch", default="lego_vgg16")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--short-epochs", type=int, default=8)
    parser.add_argument("--long-epochs", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after them")
    given = parser.parse_args()
    road = Road(
        given.data,
        given.folder,
        given.arch,
        given.device,
        given.short_epochs,
        given.long_epochs,
    )
    road.folder.mkdir(parents=True, exist_ok=True)
    path = road.folder / "results.json"
    results = _read(path)
    with _stopped_after(60 * given.minutes):
        _run(road, results, path)
    rows = [_row(result) for result in results.values()]
    print_table("trained so far", ("cell", "right", "epochs", "minutes"), rows)


@contextlib.contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    """Interrupt the block after a time, as Ctrl-C does, and go on after it."""
    # Shells start what runs in the background with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(seconds, _thread.interrupt_main)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        print("stopped; the same command goes on", flush=True)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)


def _read(path: Path) -> dict[str, Result]:
    records = json.loads(path.read_text()) if path.exists() else []
    return {record["name"]: Result(**record) for record in records}


def _run(road: Road, results: dict[str, Result], path: Path) -> None:
    for cell in road.cells():
        if cell.name not in results:
            results[cell.name] = road.carry_out(cell)
            records = [asdict(result) for result in results.values()]
            atomic.write_bytes(path, json.dumps(records, indent=1).encode())
            print(results[cell.name], flush=True)


def _row(result: Result) -> list[str]:
    accuracy = result.correct_count / result.test_count
    return [result.name, f"{accuracy:.2%}", str(result.epochs), f"{result.seconds / 60:.1f}"]


if __name__ == "__main__":
    main()

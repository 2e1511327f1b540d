"""Which start wins: a fit to the trained dense twin, or random weights, with equal epochs after it.

    python -m benchmarks.dense_start few_digits.npz runs --preset digits --dense-epochs 20 \
        --epochs 1,2,5,10,20 --rates 0.1,0.02 --seeds 0,1,2 --fit weights

Each seed trains a dense twin, fits a LegoNet to it, and trains that and a new LegoNet alike. Prints
the table of docs/fit.md; finished trainings are kept in the folder.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

from legoexport.host.report import print_table
from legoexport.models.checkpoint import read_checkpoint
from legoexport.models.registry import find_architecture
from legoexport.sweep.folder import CellResult, Folder
from legoexport.sweep.grid import Cell, Design
from legoexport.training.from_dense import fit
from legoexport.training.recipe import Recipe, choose
from legoexport.training.request import TrainingRequest
from legoexport.training.run import carry_out

THREADS = 1


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        data: Pictures, as for train.
        folder: Folder for checkpoints and results.
        preset: Recipe of every training.
        dense_epochs: Epochs that the dense twin is trained for.
        design: The LegoNet.
        arch: Its registry name.
        to: What is fitted, weights or outputs.
    """

    data: str
    folder: Path
    preset: str
    dense_epochs: int
    design: Design
    arch: str
    to: str

    def train(self, name: str, arch: str, recipe: Recipe, seed: int, start: Path | None) -> float:
        """Train under a name, unless that was done before, and return the accuracy."""
        folder, cell = Folder(self.folder / name), Cell(self.design, seed)
        done = folder.result(cell)
        if done is None:
            folder.hold_budget({"recipe": recipe.epochs})
            out = folder.checkpoint(cell)
            settings = {} if start or not find_architecture(arch).is_lego else self.settings
            request = TrainingRequest(arch, self.data, out, recipe, settings, seed, threads=THREADS)
            trained = carry_out(replace(request, start=start))
            seconds = sum(result.training_seconds for result in trained.results)
            done = CellResult(trained.correct_count, trained.test_count, seconds)
            folder.write_result(cell, done)
        return done.accuracy

    @property
    def settings(self) -> dict[str, object]:
        """Hyper-parameters of the LegoNet."""
        return self.design.hyperparameters

    def fitted(self, seed: int) -> tuple[Path, float, float]:
        """Return the checkpoint of the fit, its accuracy, and that of the dense twin."""
        twin = find_architecture(self.arch).twin
        recipe = choose(self.preset, epochs=self.dense_epochs)
        self.train("dense", twin, recipe, seed, None)
        cell = Cell(self.design, seed)
        dense = read_checkpoint(Folder(self.folder / "dense").checkpoint(cell), dense=True)
        result = fit(dense, **self.settings, data=self.data, to=self.to)  # type: ignore[arg-type]
        assert result.correct is not None  # noqa: S101 - pictures were given
        path = self.folder / f"fitted-seed{seed}.pt"
        return result.save(path), result.correct.lego_accuracy, result.correct.dense_accuracy


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--arch", default="lego_digits")
    parser.add_argument("--preset", default="short")
    parser.add_argument("--dense-epochs", type=int, default=20)
    parser.add_argument("--epochs", default="1,2,5,10,20")
    parser.add_argument("--rates", default="0.1,0.02")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--o", type=int, default=2)
    parser.add_argument("--m-ratio", type=float, default=0.5)
    parser.add_argument("--fit", dest="to", choices=("weights", "outputs"), default="outputs")
    given = parser.parse_args()
    design = Design(given.o, given.m_ratio, coefficients=True)
    comparison = Comparison(
        given.data, given.folder, given.preset, given.dense_epochs, design, given.arch, given.to
    )
    seeds = [int(seed) for seed in given.seeds.split(",")]
    fits = [comparison.fitted(seed) for seed in seeds]
    rows = [
        _row(comparison, int(epochs), float(rate), seeds, [path for path, _, _ in fits])
        for epochs in given.epochs.split(",")
        for rate in given.rates.split(",")
    ]
    before, dense = [lego for _, lego, _ in fits], [accuracy for _, _, accuracy in fits]
    rows.insert(0, ["0", "", "", _spread(before)])
    title = f"dense twin after {given.dense_epochs} epochs: {_spread(dense)}"
    columns = ("epochs", "learning rate", "from scratch", "from the fit")
    print_table(title, columns, rows)


def _row(
    comparison: Comparison, epochs: int, rate: float, seeds: list[int], fits: list[Path]
) -> list[str]:
    recipe = choose(comparison.preset, epochs=epochs, changes={"learning_rate": rate})
    name = f"{epochs}-epochs-rate{rate:g}"
    arch = comparison.arch
    scratch = [comparison.train(f"scratch-{name}", arch, recipe, seed, None) for seed in seeds]
    fitted = [
        comparison.train(f"fit-{name}", arch, recipe, seed, path)
        for seed, path in zip(seeds, fits, strict=True)
    ]
    return [str(epochs), f"{rate:g}", _spread(scratch), _spread(fitted)]


def _spread(accuracies: list[float]) -> str:
    spread = f" +- {stdev(accuracies):.2%}" if len(accuracies) > 1 else ""
    return f"{fmean(accuracies):.2%}{spread}"


if __name__ == "__main__":
    main()

"""What ``legoexport sweep`` is asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from legoexport.measure.options import BenchOptions
from legoexport.sweep.grid import Grid
from legoexport.training.recipe import Recipe


@dataclass(frozen=True)
class SweepRequest:
    """A sweep to carry out.

    Attributes:
        arch: Registry name of the LegoNet.
        source: The pictures, as for train.
        out: Folder for all results.
        grid: The networks.
        recipe: How each is trained.
        device: Where to train; None takes an accelerator if there is one.
        threads: CPU threads for training; None leaves torch's default.
        image_size: Pixels that compressed pictures are scaled to; None keeps their size.
        bench_threads: Threads of ONNX Runtime for measuring.
        bench_seconds: Time to measure each file.
    """

    arch: str
    source: str
    out: Path
    grid: Grid
    recipe: Recipe
    device: str | None = None
    threads: int | None = None
    image_size: int | None = None
    bench_threads: int = 1
    bench_seconds: float = 5.0

    @property
    def bench_options(self) -> BenchOptions:
        """How each file is measured.

        Raises:
            UsageError: Files cannot be measured like this.
        """
        return BenchOptions(self.bench_threads, duration_s=self.bench_seconds)

    @property
    def budget(self) -> dict[str, object]:
        """What every cell of a folder has in common."""
        return {
            "arch": self.arch,
            "data": self.source,
            "image_size": self.image_size,
            "recipe": asdict(self.recipe),
        }

    @property
    def caption(self) -> str:
        """The budget in words, to be shown beside a figure."""
        recipe, seeds_count = self.recipe, len(self.grid.seeds)
        seeds = (
            "1 seed" if seeds_count == 1 else f"mean and standard deviation of {seeds_count} seeds"
        )
        return (
            f"{self.arch} on {Path(self.source).name}: {recipe.epochs} epochs of batch"
            f" {recipe.batch_size}, {seeds}"
        )

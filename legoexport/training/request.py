"""What ``legoexport train`` is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from legoexport.training.recipe import Recipe

SAVE_SECONDS = 60.0


@dataclass(frozen=True)
class TrainingRequest:
    """A training to carry out.

    Attributes:
        arch: Registry name of the network.
        hyperparameters: Override the network's defaults; classes and input size follow the data.
        source: The pictures, see `legoexport.training.data.source`.
        out: The checkpoint to write; its state and its log lie beside it.
        recipe: How to train.
        seed: Seed of all random numbers.
        device: Where to train, such as "cpu" or "cuda"; None takes an accelerator if there is one.
        mixed: Whether to compute in bfloat16; None means if the device has instructions for it.
        threads: CPU threads of this process; None leaves torch's default.
        image_size: Pixels that compressed pictures are scaled to; None keeps their size.
        resumes: Whether to continue where an earlier run with the same options stopped.
        save_seconds: Time between two saved states; 0 saves after every step.
        log: CSV file; None writes it beside ``out``.
        tensorboard: Folder for TensorBoard; None writes no log there.
        start: Checkpoint of this network to start from; None draws weights at random.
        teacher: Checkpoint of a trained dense network to learn from; None learns from labels alone.
        force: Let a file replace one of another kind.
        test_images: ``.npz`` file for the test pictures as the network sees them; None writes none.
    """

    arch: str
    source: str
    out: Path
    recipe: Recipe
    hyperparameters: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    device: str | None = None
    mixed: bool | None = None
    threads: int | None = None
    image_size: int | None = None
    resumes: bool = False
    save_seconds: float = SAVE_SECONDS
    log: Path | None = None
    tensorboard: Path | None = None
    test_images: Path | None = None
    start: Path | None = None
    teacher: Path | None = None
    force: bool = False

    @property
    def csv_path(self) -> Path:
        """Path of the log."""
        return self.log or self.out.with_name(f"{self.out.name}.csv")

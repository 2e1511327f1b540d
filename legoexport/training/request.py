"""What ``legoexport train`` is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from legoexport.training.recipe import Recipe

SAVE_SECONDS = 60.0


@dataclass(frozen=True)
class Request:
    """A training to carry out.

    Attributes:
        arch: Registry name of the network.
        hyperparameters: Of the network, over its defaults; classes and input size follow the data.
        source: Of the pictures, see `legoexport.training.data.source`.
        out: The checkpoint to write; its state and its log lie beside it.
        recipe: How to train.
        seed: Of everything random.
        device: Such as "cpu" or "cuda"; None: an accelerator if there is one.
        mixed: Whether to compute in bfloat16; None: where the device does so itself.
        threads: Of this process; None as torch has it.
        image_size: What compressed pictures are scaled to, in pixels; None as they are.
        resumes: Whether to go on where an earlier run with the same options stopped.
        save_seconds: Between two saved states; 0 saves after every step.
        log: CSV file; None: beside ``out``.
        tensorboard: Folder for TensorBoard; None: none.
        start: Checkpoint of this network to begin with; None: weights drawn at random.
        test_images: ``.npz`` file for the test pictures as the network sees them; None: none.
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

    @property
    def csv_path(self) -> Path:
        """Where the log goes."""
        return self.log or self.out.with_name(f"{self.out.name}.csv")

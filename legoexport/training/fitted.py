"""A LegoNet fitted to a dense network: what it is, and how well it came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.checkpoint.training_facts import normalization_facts
from legoexport.models.fitting.layer import LayerFit
from legoexport.models.fitting.layer_outputs import OutputFit


@dataclass(frozen=True)
class CorrectCounts:
    """Held-out pictures that each network classifies correctly.

    Attributes:
        images_count: Pictures shown to each.
        dense_count: Right in the dense network.
        lego_count: Right in the fitted LegoNet, before any training.
    """

    images_count: int
    dense_count: int
    lego_count: int

    @property
    def dense_accuracy(self) -> float:
        """Share that the dense network gets right."""
        return self.dense_count / self.images_count

    @property
    def lego_accuracy(self) -> float:
        """Share that the LegoNet gets right."""
        return self.lego_count / self.images_count


@dataclass(frozen=True)
class Fitted:
    """A LegoNet fitted to a dense network.

    Attributes:
        module: The LegoNet, in eval mode.
        arch: Its registry name; None if the dense network was given as a module.
        hyperparameters: What it was built with; empty without ``arch``.
        fits: How well each Lego layer came out.
        batch_norms_count: Batch norms in the network.
        correct: What it classifies correctly, if pictures were given. Batch norms then have the
            statistics of the training pictures; otherwise they keep the dense network's.
        dense_sha256: Digest of the dense network's checkpoint, hexadecimal.
        normalization: How the pictures of the dense network were normalised, where it says so.
        class_names: As the dense network has them.
        output_fits: How well the outputs of each Lego layer came out; empty if weights were fitted.
        pictures_count: Training pictures that statistics were taken of, if pictures were given.
    """

    module: nn.Module
    arch: str | None
    hyperparameters: Mapping[str, object]
    fits: tuple[LayerFit, ...]
    batch_norms_count: int
    correct: CorrectCounts | None
    dense_sha256: str | None
    normalization: Normalization | None
    class_names: tuple[str, ...] = ()
    output_fits: tuple[OutputFit, ...] = ()
    pictures_count: int | None = None

    def save(self, path: Path | str) -> Path:
        """Write the checkpoint that ``legoexport fit`` writes, and return its path.

        Raises:
            UsageError: The dense network was given as a module, so nothing says how to build it;
                or the file cannot be written.
        """
        if self.arch is None:
            raise UsageError(
                f"{path}: a checkpoint names the code that builds its network",
                next_step="write_checkpoint(path, module, arch='package.module:factory', ...)",
            )
        write_checkpoint(
            path,
            self.module,
            arch=self.arch,
            hyperparameters=self.hyperparameters,
            training={
                "from_dense_sha256": self.dense_sha256,
                **normalization_facts(self.normalization),
                "class_names": list(self.class_names),
            },
        )
        return Path(path)

"""Turn a trained dense network into a LegoNet: fit it, calibrate it, count what it gets right."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from legoexport.errors import CheckpointError, UsageError
from legoexport.host.progress import Progress
from legoexport.lego.normalization import Normalization
from legoexport.models.blocks import LegoRecipe
from legoexport.models.checkpoint import Checkpoint, write_checkpoint
from legoexport.models.checkpoint.training_facts import normalization_facts
from legoexport.models.checkpoint.user_code import input_channels
from legoexport.models.fitting.calibrate import recalibrate
from legoexport.models.fitting.cluster import FitOptions
from legoexport.models.fitting.layer import LayerFit
from legoexport.models.fitting.layer_outputs import OutputFit
from legoexport.models.fitting.network import fit_network
from legoexport.models.legofy import legofy
from legoexport.models.registry import ARCHITECTURES, build
from legoexport.training.fit import choose_device
from legoexport.training.fit_outputs import (
    CALIBRATION_COUNT,
    OUTPUTS,
    OutputOptions,
    choose_target,
    described_again,
    fit_to_outputs,
    some_images,
)
from legoexport.training.ranks import ALONE

if TYPE_CHECKING:
    from legoexport.training.data.images import ImageData


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


def fit(
    dense: Checkpoint | nn.Module,
    *,
    o: int = 2,
    m_ratio: float = 0.5,
    coefficients: bool = True,
    data: ImageData | Path | str | None = None,
    options: FitOptions | None = None,
    to: str | None = None,
    outputs: OutputOptions | None = None,
    device: str = "cpu",
    progress: Progress = lambda _: None,
) -> Fitted:
    """Fit a LegoNet to a trained dense network: a start for training that works already.

    Args:
        dense: The trained network: a checkpoint of a registered architecture, read with
            ``dense=True``, or any module, whose convolutions become Lego layers as in ``legofy``.
        o: Fragments of the input channels.
        m_ratio: Lego filters per output channel.
        coefficients: Whether coefficients are learned.
        data: Training pictures are what outputs are fitted on and batch norm is calibrated with
            (their labels are not used); held-out pictures are classified. Pictures in memory, or
            a source as for ``legoexport train``.
        options: How long to look for good banks.
        to: ``"weights"`` or ``"outputs"`` of the dense layers; None is outputs where there are
            pictures, and weights otherwise.
        outputs: How long outputs are fitted.
        device: Where to compute; the result is on the CPU.
        progress: Called with the name of each step before it starts.

    Raises:
        CheckpointError: The checkpoint is of the user's own code, which builds no Lego layers.
        UsageError: ``o`` or ``m_ratio`` do not fit the network, or the pictures do not; outputs
            are to be fitted without pictures; there is no such device.
    """
    where, to = choose_device(device, ALONE), choose_target(to, has_data=data is not None)
    recipe = LegoRecipe(o, m_ratio, coefficients)
    arch, hyperparameters, sha256, normalization = None, dict[str, object](), None, None
    if isinstance(dense, nn.Module):
        network = dense
        lego = legofy(dense, o=o, m_ratio=m_ratio, coefficients=coefficients).module
    else:
        network, sha256, normalization = dense.module, dense.sha256, dense.normalization
        arch, hyperparameters = _twin(dense, recipe)
        lego = build(arch, **hyperparameters)
    pictures = _pictures(dense, data)
    network = copy.deepcopy(network).eval().to(where)
    fits = fit_network(lego.eval().to(where), network, options, progress)
    correct, output_fits = None, tuple[OutputFit, ...]()
    if pictures is not None:
        pictures = pictures.to(where)
        if to == OUTPUTS:
            output_fits = fit_to_outputs(
                lego, network, pictures, outputs or OutputOptions(), progress
            )
            fits = tuple(described_again(fit, lego, network) for fit in fits)
        else:
            progress("calibrating batch norm")
            recalibrate(lego, some_images(pictures, CALIBRATION_COUNT))
        correct = _count(network, lego, pictures, progress)
    norms_count = sum(isinstance(each, nn.BatchNorm2d) for each in lego.modules())
    facts = (arch, hyperparameters, fits, norms_count, correct, sha256, normalization)
    names = () if isinstance(dense, nn.Module) else dense.class_names
    return Fitted(lego.cpu(), *facts, class_names=names, output_fits=output_fits)


def _pictures(
    dense: Checkpoint | nn.Module, data: ImageData | Path | str | None
) -> ImageData | None:
    if isinstance(data, Path | str):
        from legoexport.training.data.source import load  # noqa: PLC0415 - needed with data only

        if isinstance(dense, nn.Module):
            return load(str(data), channels=input_channels(dense)).data
        channels, size, _ = dense.input_shape
        data = load(str(data), channels=channels, size=size).data
    if isinstance(dense, Checkpoint):
        _check_pictures(dense, data)
    return data


def _twin(dense: Checkpoint, recipe: LegoRecipe) -> tuple[str, dict[str, object]]:
    if dense.arch not in ARCHITECTURES:
        raise CheckpointError(
            f"{dense.path}: a network of your own code cannot be built again with Lego layers",
            received=dense.arch,
            legal=", ".join(name for name, each in ARCHITECTURES.items() if not each.is_lego),
            next_step="in Python: fit(network, ...), where the network is a module",
        )
    settings = {"o": recipe.o, "m_ratio": recipe.m_ratio, "coefficients": recipe.coefficients}
    return ARCHITECTURES[dense.arch].twin, {**dense.hyperparameters, **settings}


def _check_pictures(dense: Checkpoint, data: ImageData | None) -> None:
    if data is not None and data.input_shape != dense.input_shape:
        raise UsageError(
            "the pictures do not fit the network",
            received=data.input_shape,
            legal=dense.input_shape,
        )


def _count(dense: nn.Module, lego: nn.Module, data: ImageData, progress: Progress) -> CorrectCounts:
    from legoexport.training.evaluate import count_correct  # noqa: PLC0415 - needed with data only

    progress("counting what is classified correctly")
    dense_count, lego_count = (count_correct(each, data) for each in (dense, lego))
    return CorrectCounts(len(data.test_labels), dense_count, lego_count)

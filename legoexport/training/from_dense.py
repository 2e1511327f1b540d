"""Turn a trained dense network into a LegoNet: fit it, calibrate it, count what it gets right."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from legoexport.errors import CheckpointError, UsageError
from legoexport.host.progress import Progress
from legoexport.lego.normalization import Normalization
from legoexport.models.blocks import LegoRecipe
from legoexport.models.checkpoint import Checkpoint
from legoexport.models.checkpoint.user_code import input_channels
from legoexport.models.fitting.calibrate import recalibrate
from legoexport.models.fitting.cluster import FitOptions
from legoexport.models.fitting.layer_outputs import OutputFit
from legoexport.models.fitting.network import fit_network
from legoexport.models.legofy import legofy
from legoexport.models.registry import ARCHITECTURES, build
from legoexport.training.fit import choose_device
from legoexport.training.fit_outputs import (
    OUTPUTS,
    OutputOptions,
    choose_target,
    described_again,
    fit_to_outputs,
    some_images,
    statistics_count,
)
from legoexport.training.fitted import CorrectCounts, Fitted
from legoexport.training.ranks import ALONE

if TYPE_CHECKING:
    from legoexport.training.data.images import ImageData


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
        outputs: How long outputs are fitted, and on how many pictures.
        device: Where to compute; the result is on the CPU.
        progress: Called with the name of each step before it starts.

    Raises:
        CheckpointError: The checkpoint is of the user's own code, which builds no Lego layers.
        UsageError: ``o`` or ``m_ratio`` do not fit the network, or the pictures do not; outputs
            are to be fitted without pictures, or more of them than there are; there is no such
            device.
    """
    where, to = choose_device(device, ALONE), choose_target(to, has_data=data is not None)
    outputs = outputs or OutputOptions()
    pair = _pair(dense, LegoRecipe(o, m_ratio, coefficients))
    pictures = _pictures(dense, data)
    count = None if pictures is None else statistics_count(pictures, to, outputs.layers)
    pair = pair.on(where)
    fits = fit_network(pair.lego, pair.dense, options, progress)
    output_fits, correct = tuple[OutputFit, ...](), None
    if pictures is not None:
        pictures = pictures.to(where)
        output_fits = _made_good(pair, pictures, to, outputs, progress)
        if output_fits:
            fits = tuple(described_again(fit, pair.lego, pair.dense) for fit in fits)
        correct = _count(pair, pictures, progress)
    return Fitted(
        module=pair.lego.cpu(),
        arch=pair.arch,
        hyperparameters=pair.hyperparameters,
        fits=fits,
        batch_norms_count=sum(isinstance(one, nn.BatchNorm2d) for one in pair.lego.modules()),
        correct=correct,
        dense_sha256=pair.dense_sha256,
        normalization=pair.normalization,
        class_names=pair.class_names,
        output_fits=output_fits,
        pictures_count=count,
    )


@dataclass(frozen=True)
class _Pair:
    """A dense network, the LegoNet that takes its weights, and what a file says of both."""

    dense: nn.Module
    lego: nn.Module
    arch: str | None = None
    hyperparameters: Mapping[str, object] = field(default_factory=dict)
    dense_sha256: str | None = None
    normalization: Normalization | None = None
    class_names: tuple[str, ...] = ()

    def on(self, device: torch.device) -> _Pair:
        """Return both in eval mode on a device; the dense network of the user stays as it is."""
        dense = copy.deepcopy(self.dense).eval().to(device)
        return replace(self, dense=dense, lego=self.lego.eval().to(device))


def _pair(dense: Checkpoint | nn.Module, recipe: LegoRecipe) -> _Pair:
    if isinstance(dense, nn.Module):
        lego = legofy(
            dense, o=recipe.o, m_ratio=recipe.m_ratio, coefficients=recipe.coefficients
        ).module
        return _Pair(dense, lego)
    arch, settings = _twin(dense, recipe)
    facts = (dense.sha256, dense.normalization, dense.class_names)
    return _Pair(dense.module, build(arch, **settings), arch, settings, *facts)


def _made_good(
    pair: _Pair, pictures: ImageData, to: str, options: OutputOptions, progress: Progress
) -> tuple[OutputFit, ...]:
    """Fit outputs, or at least give batch norms the statistics that the fitted weights cause."""
    if to == OUTPUTS:
        return fit_to_outputs(pair.lego, pair.dense, pictures, options, progress)
    progress("calibrating batch norm")
    recalibrate(pair.lego, some_images(pictures, statistics_count(pictures, to, options.layers)))
    return ()


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


def _count(pair: _Pair, data: ImageData, progress: Progress) -> CorrectCounts:
    from legoexport.training.evaluate import count_correct  # noqa: PLC0415 - needed with data only

    progress("counting what is classified correctly")
    dense_count, lego_count = (count_correct(each, data) for each in (pair.dense, pair.lego))
    return CorrectCounts(len(data.test_labels), dense_count, lego_count)

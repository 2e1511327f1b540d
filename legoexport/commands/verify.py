"""``legoexport verify``: an ONNX file against its checkpoint, or against a parity bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from legoexport.commands.checkpoint_options import checkpoint_options, load_checkpoint
from legoexport.commands.picture_options import (
    SOURCES,
    picture_normalization,
    picture_options,
)
from legoexport.commands.processor_check import check_sums_here
from legoexport.commands.thread_options import THREADS
from legoexport.commands.verify_bundle import replay_files
from legoexport.commands.verify_cost import check_twin, cost_of, images_to_judge
from legoexport.commands.verify_view import print_verification
from legoexport.errors import ParityFailed, UsageError
from legoexport.host.reading import read_bytes
from legoexport.host.report import step_progress
from legoexport.parity.bundle import check_vacant
from legoexport.parity.bundle import save_bundle as write_bundle
from legoexport.runtimes import HERE, MODULES, find_runtimes
from legoexport.runtimes.base import Runtime

if TYPE_CHECKING:
    from legoexport.host.progress import Progress
    from legoexport.models.checkpoint import Checkpoint
    from legoexport.parity.opened import OpenedModel
    from legoexport.parity.pictures import ReadImages
    from legoexport.parity.verify import Verification

FILES_COUNT = 2


@click.command("verify")
@click.argument("files", nargs=-1, metavar="[CHECKPOINT] MODEL", type=click.Path(path_type=Path))
@checkpoint_options
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help=f"Also check real images: {SOURCES}. Of training and test pictures, the latter.",
)
@picture_options
@click.option(
    "--dense-twin",
    type=click.Path(path_type=Path),
    help="Dense network to show beside MODEL in what rounding costs on --data.",
)
@click.option("--per-layer", is_flag=True, help="Print every Lego layer, not only failing ones.")
@click.option(
    "--save-bundle",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Save inputs, golden outputs and limits, to repeat the check without PyTorch.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Check MODEL against a saved bundle instead of a checkpoint.",
)
@click.option("--threads", default=1, type=THREADS, help="Threads of ONNX Runtime.")
@click.option(
    "--runtime",
    default=HERE,
    metavar="NAME[:VARIANT]",
    help=f"Runtime whose outputs are checked: {', '.join(MODULES)}.",
)
@click.option(
    "--runtime-version",
    metavar="VERSION",
    show_default="the one installed here",
    help="Release of ONNX Runtime for --runtime arm64, such as 1.24.1.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(
    files: tuple[Path, ...],
    arch: str | None,
    settings: tuple[str, ...],
    factory: str | None,
    input_size: tuple[int, int] | None,
    data: Path | None,
    dense_twin: Path | None,
    save_bundle: Path | None,
    bundle: Path | None,
    threads: int,
    runtime: str,
    runtime_version: str | None,
    *,
    per_layer: bool,
    as_json: bool,
) -> None:
    """Check that MODEL computes what CHECKPOINT computes, as a whole and layer by layer.

    With --runtime the outputs come from another runtime; layers are always checked here, and those
    of a file in int8 there too. arm64 stands for arm64:cortex-a72, arm64:neoverse-n1 and arm64:max,
    which has SME. Each is emulated with qemu. On an arm64 machine, arm64 is that machine.

    With --data, the report of convert follows on what int8 costs, or weights in fewer bits.

    The exit code is 0 if they agree, 1 if they do not (the layer and the pass at fault are named),
    and 2 if the check could not be made.
    """
    runtimes = find_runtimes(runtime, threads, runtime_version)
    elsewhere = () if runtime == HERE else runtimes
    if bundle is not None:
        others = (arch, settings, factory, input_size, data, dense_twin, per_layer, save_bundle)
        if len(files) != 1 or any(others):
            legal = "verify --bundle DIR MODEL [--threads N] [--runtime NAME] [--json]"
            raise UsageError("a bundle is checked by itself", legal=legal)
        replay_files(bundle, read_bytes(files[0]), threads, elsewhere, as_json=as_json)
        return
    legal = "verify CHECKPOINT MODEL, or verify --bundle DIR MODEL"
    path, model_path = two_files(files, "verify compares two files", legal)
    check_twin(dense_twin, data)
    if save_bundle is not None:
        check_vacant(save_bundle)
    load = partial(load_checkpoint, path, arch, settings, factory)
    with step_progress() as progress:
        verified = _verify(load, input_size, model_path, data, threads, elsewhere, progress)
        found, cost = verified.found, None
        if data is not None and found.passed:
            network, opened = verified.checkpoint, verified.opened
            images = images_to_judge(data, network, opened, verified.real)
            cost = cost_of(network, opened, images, dense_twin, progress)
    if save_bundle is not None:
        _save_bundle(save_bundle, verified)
    print_verification(found, cost, verified.opened.facts, per_layer=per_layer, as_json=as_json)
    if not found.passed:
        raise ParityFailed("\n".join(["the model fails its check", *found.diagnosis]))
    check_sums_here(verified.opened.facts, elsewhere)


def two_files(files: tuple[Path, ...], problem: str, legal: str) -> tuple[Path, Path]:
    """Return a checkpoint and a model.

    Raises:
        UsageError: Other than two files are given.
    """
    if len(files) != FILES_COUNT:
        received = " ".join(map(str, files)) or "none"
        raise UsageError(problem, received=received, legal=legal)
    return files[0], files[1]


@dataclass(frozen=True)
class _Verified:
    """The network, the file, the real images that were given, and the verdict on all."""

    checkpoint: Checkpoint
    opened: OpenedModel
    real: ReadImages | None
    found: Verification


def _verify(
    load: Callable[..., Checkpoint],
    input_size: tuple[int, int] | None,
    model_path: Path,
    data: Path | None,
    threads: int,
    elsewhere: Sequence[Runtime],
    progress: Progress,
) -> _Verified:
    from legoexport.parity.verify import verify_opened

    checkpoint, opened = open_both(load, input_size, model_path, threads, progress)
    real = real_images(data, checkpoint, opened)
    inputs = None if real is None else real.inputs
    found = verify_opened(checkpoint, opened, data=inputs, progress=progress, elsewhere=elsewhere)
    return _Verified(checkpoint, opened, real, found)


def open_both(
    load: Callable[..., Checkpoint],
    input_size: tuple[int, int] | None,
    model_path: Path,
    threads: int,
    progress: Progress,
) -> tuple[Checkpoint, OpenedModel]:
    """Open the model first: it says which size of input the network is to be read for."""
    from legoexport.parity.judge_outputs import check_input_shape
    from legoexport.parity.opened import open_model

    progress("opening the model")
    opened = open_model(model_path, threads)
    progress("reading the checkpoint")
    checkpoint = load(input_size or opened.input_size, takes_image=opened.takes_image)
    if checkpoint.image_shape:
        check_input_shape(opened.network_shape, checkpoint.image_shape)
    return checkpoint, opened


def _save_bundle(folder: Path, verified: _Verified) -> None:
    if verified.found.passed:
        write_bundle(folder, verified.opened.model_bytes, verified.found.golden)


def real_images(
    data: Path | None, checkpoint: Checkpoint, opened: OpenedModel
) -> ReadImages | None:
    """Return the images of ``--data`` to judge a model on; None without the option."""
    from legoexport.parity.pictures import read_images

    if data is None:
        return None
    normalization, model = picture_normalization(checkpoint), opened.runtime
    shape, size = model.image_shape, model.fixed_batch_size
    return read_images(data, shape, size, normalization, pixels=opened.pixels)

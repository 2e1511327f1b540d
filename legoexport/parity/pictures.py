"""Real images of every form that ``--data`` takes: arrays ready for the network, or pictures."""

from __future__ import annotations

import tarfile
import zipfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from numpy.lib.format import MAGIC_PREFIX

from legoexport.errors import UsageError
from legoexport.host.reading import UNREADABLE
from legoexport.lego.normalization import Normalization
from legoexport.parity.array_file import IMAGES_MEMBER, open_arrays
from legoexport.parity.image_series import ImageSeries, shuffled
from legoexport.parity.inputs import InputSet, as_pixels, batched
from legoexport.parity.picture_series import NetworkInput, series_in_memory, series_of_files
from legoexport.training.data import arrays as training_arrays
from legoexport.training.data import folder
from legoexport.training.data.cifar import is_cifar_folder
from legoexport.training.data.source import DIGITS, load

ARRAY_SUFFIX = ".npy"
LEGAL = (
    ".npy of images (N, c, h, w) prepared as for training, or .npz with images and, if known,"
    " labels (N,); a folder or zip archive of pictures; or what train --data takes"
)


@dataclass(frozen=True, eq=False)
class RealImages:
    """The images of a source.

    Attributes:
        judging: Held out from training; all of them if the source does not tell them apart.
        training: Trained on, or None if the source does not tell them apart.
    """

    judging: ImageSeries
    training: ImageSeries | None = None


@dataclass(frozen=True, eq=False)
class ReadImages:
    """Images that were read to judge a model on.

    Attributes:
        inputs: The images as the model takes them.
        source: Where they are from; what judges lies in memory now, unless it is too large.
    """

    inputs: InputSet
    source: RealImages


def read_inputs(
    source: str | Path,
    input_shape: tuple[int, int, int],
    fixed_batch_size: int | None,
    normalization: Normalization | None,
    *,
    pixels: Normalization | None = None,
) -> InputSet:
    """Return the inputs of ``read_images``."""
    return read_images(source, input_shape, fixed_batch_size, normalization, pixels=pixels).inputs


def read_images(
    source: str | Path,
    input_shape: tuple[int, int, int],
    fixed_batch_size: int | None,
    normalization: Normalization | None,
    *,
    pixels: Normalization | None = None,
) -> ReadImages:
    """Read real images to judge on: of labelled pictures those for testing, else all.

    Args:
        source: As ``open_images`` takes it.
        input_shape: ``(c, h, w)`` that the network takes.
        fixed_batch_size: The batch of the model, or None if it is open; images that do not fill
            one are left out.
        normalization: Of the pictures in training, or None if nobody knows.
        pixels: How the model normalises the pixels that it takes; None if it takes images
            normalised already.

    Raises:
        UsageError: As ``open_images`` has it, or an image cannot be read.
    """
    images = open_images(source, input_shape, pixels or normalization)
    read = images.judging.inputs(None)
    inputs = batched(read.name, read.images, read.labels, fixed_batch_size)
    held = replace(images, judging=images.judging.held(read))
    return ReadImages(as_pixels(inputs, pixels), held)


def open_images(
    source: str | Path, input_shape: tuple[int, int, int], normalization: Normalization | None
) -> RealImages:
    """Find the images of a source and read what is needed to read them later.

    Arrays and pictures in folders and zip archives are read when they are needed. CIFAR, the
    digits and the arrays of ``train --data`` are held in memory, as uint8 where the source has it.

    Args:
        source: An ``.npy`` or ``.npz`` of images that are prepared as for training; a folder or
            zip archive of pictures, of one kind or as ``train`` takes them; CIFAR-10 as published;
            an ``.npz`` as ``train`` takes it; or ``"digits"``.
        input_shape: ``(c, h, w)`` that the network takes. Pictures of other sizes are scaled and
            cropped to it, as ``train --image-size`` does.
        normalization: Of the pictures in training, or None if nobody knows.

    Raises:
        UsageError: There is nothing that can be read, it does not fit the network, or it holds
            pictures and ``normalization`` is None.
    """
    path, network = Path(source), NetworkInput(input_shape, normalization)
    if path.is_dir() and not is_cifar_folder(path):
        return _pictures(path, network)
    if path.is_dir() or (str(source) == DIGITS and not path.exists()):
        return _in_memory(str(source), network)
    if not path.is_file():
        raise UsageError(f"{path} does not exist", legal=LEGAL)
    return _from_file(path, network)


def _from_file(path: Path, network: NetworkInput) -> RealImages:
    try:
        with path.open("rb") as file:
            is_array = file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX
        with zipfile.ZipFile(path) if zipfile.is_zipfile(path) else nullcontext() as archive:
            members = frozenset(archive.namelist() if archive else ())
        is_tar = tarfile.is_tarfile(path)
    except UNREADABLE as error:
        raise UsageError(f"cannot read {path}", received=error, legal=LEGAL) from None
    if is_array or IMAGES_MEMBER in members:
        return RealImages(open_arrays(path, members, network.input_shape))
    names = {name.removesuffix(ARRAY_SUFFIX) for name in members if name.endswith(ARRAY_SUFFIX)}
    if is_tar or any(names.issuperset(known) for known in training_arrays.NAMES):
        return _in_memory(str(path), network)
    if names:
        raise UsageError(f"{path} holds no images", received=sorted(names), legal=LEGAL)
    if zipfile.is_zipfile(path):
        return _pictures(path, network)
    raise UsageError(f"cannot read {path}", received="another kind of file", legal=LEGAL)


def _in_memory(source: str, network: NetworkInput) -> RealImages:
    data = load(source, channels=network.input_shape[0]).data
    if data.input_shape != network.input_shape:
        raise UsageError(
            f"{source} does not fit the network",
            received=f"images {data.input_shape}",
            legal=network.input_shape,
        )
    if not data.train_images.is_floating_point():
        network.known_normalization(source)
    parts = (
        ("test", data.test_images, data.test_labels),
        ("training", data.train_images, data.train_labels),
    )
    return RealImages(*(series_in_memory(source, *part, network) for part in parts))


def _pictures(path: Path, network: NetworkInput) -> RealImages:
    network.known_normalization(str(path))
    names = folder.picture_names(path)
    if not names:
        raise UsageError(f"{path} holds no pictures", legal=", ".join(sorted(folder.SUFFIXES)))
    if not any(folder.placed(name) for name in names):
        mixed = [names[at] for at in shuffled(len(names))]  # names tend to sort by class
        return RealImages(series_of_files(path, f"pictures of {path.name}", mixed, None, network))
    _, parts = folder.sort_out(path, names)
    return RealImages(
        *(
            series_of_files(path, f"{told} pictures of {path.name}", one.names, one.labels, network)
            for told, one in (("test", parts["test"]), ("training", parts["train"]))
        )
    )

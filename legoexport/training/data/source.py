"""Choose the reader of a source by its name and contents."""

from __future__ import annotations

import tarfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.training.data.arrays import read_arrays
from legoexport.training.data.cifar import is_cifar_folder, read_cifar_folder, read_cifar_tar
from legoexport.training.data.decode import Decoder
from legoexport.training.data.folder import read_pictures
from legoexport.training.data.images import ImageData

DIGITS = "digits"
LEGAL = (
    "a folder or zip archive with train/CLASS/ and test/CLASS/; CIFAR-10 as published, a folder or"
    f" .tar.gz; an .npz file; or {DIGITS!r} for scikit-learn's"
)


@dataclass(frozen=True)
class Loaded:
    """Pictures, and how long reading them took.

    Attributes:
        data: The pictures.
        seconds: Time to read and decode them.
    """

    data: ImageData
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Pictures read and decoded per second."""
        return (len(self.data.train_labels) + len(self.data.test_labels)) / self.seconds


def load(source: str, *, channels: int = 3, size: int | None = None) -> Loaded:
    """Read pictures into memory.

    Args:
        source: A path, or ``"digits"``.
        channels: 1 or 3, what compressed pictures are converted to.
        size: Pixels that compressed pictures are scaled to; None keeps their size.

    Raises:
        UsageError: There is nothing there that can be read, or the network takes other channels.
    """
    start = time.monotonic()
    data = _read(source, Decoder(channels, None if size is None else (size, size)))
    if data.input_shape[0] != channels:
        raise UsageError(f"{source}: channels", received=data.input_shape[0], legal=channels)
    return Loaded(data, time.monotonic() - start)


def _read(source: str, decoder: Decoder) -> ImageData:
    path = Path(source)
    if source == DIGITS and not path.exists():
        return _digits()
    if path.is_dir():
        return read_cifar_folder(path) if is_cifar_folder(path) else read_pictures(path, decoder)
    if not path.is_file():
        raise UsageError(f"{source} does not exist", legal=LEGAL)
    if path.suffix == ".npz":
        return read_arrays(path)
    if zipfile.is_zipfile(path):
        return read_pictures(path, decoder)
    if tarfile.is_tarfile(path):
        return read_cifar_tar(path)
    raise UsageError(f"{source} is nothing that can be read", legal=LEGAL)


def _digits() -> ImageData:
    try:
        from legoexport.training.data import digits  # noqa: PLC0415 - needs the extra [demo]
    except ImportError:
        raise UsageError(
            "the digits need scikit-learn", next_step="pip install legoexport[demo]"
        ) from None
    return digits.load()

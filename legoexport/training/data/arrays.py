"""NumPy archives: four arrays by name, pictures as uint8 or as normalised numbers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legoexport.errors import UsageError
from legoexport.host import atomic
from legoexport.host.reading import UNREADABLE
from legoexport.training.data.images import ImageData

NAMES = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
)
CHANNEL_COUNTS = (1, 3)
LEGAL = " or ".join(", ".join(names) for names in NAMES)


def read_arrays(path: Path) -> ImageData:
    """Read pictures and labels from an ``.npz`` file; nothing in it is unpickled.

    Pictures are ``(N, c, h, w)``, ``(N, h, w, c)`` or ``(N, h, w)``.

    Raises:
        UsageError: The file is not an .npz, lacks an array, or has one of another shape or type.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = next((n for n in NAMES if set(n) <= set(archive.files)), None)
            if names is None:
                raise UsageError(f"{path} lacks arrays", received=archive.files, legal=LEGAL)
            arrays = [archive[name] for name in names]
    except UNREADABLE as error:
        raise UsageError(f"{path} cannot be read as an .npz archive", received=error) from None
    images = [_pictures(path, name, arrays[i]) for i, name in enumerate(names) if i % 2 == 0]
    labels = [_labels(path, name, arrays[i]) for i, name in enumerate(names) if i % 2 == 1]
    return ImageData(images[0], labels[0], images[1], labels[1])


def _pictures(path: Path, name: str, array: NDArray[np.generic]) -> Tensor:
    if array.ndim == 3:  # noqa: PLR2004 - N, h, w
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in CHANNEL_COUNTS:  # noqa: PLR2004
        array = np.moveaxis(array, 3, 1)
    floating = np.issubdtype(array.dtype, np.floating)
    if array.ndim != 4 or not (floating or array.dtype == np.uint8):  # noqa: PLR2004
        raise UsageError(
            f"{path}: {name}",
            received=f"{array.dtype} of shape {array.shape}",
            legal="uint8, or floats that are normalised already, (N, c, h, w) or (N, h, w, c)",
        )
    if floating and not np.isfinite(array).all():
        raise UsageError(f"{path}: {name} holds NaN or infinite values", legal="finite numbers")
    return torch.from_numpy(np.ascontiguousarray(array.astype(np.float32 if floating else "u1")))


def _labels(path: Path, name: str, array: NDArray[np.generic]) -> Tensor:
    if not np.issubdtype(array.dtype, np.integer) or array.size != array.shape[0]:
        raise UsageError(
            f"{path}: {name}",
            received=f"{array.dtype} of shape {array.shape}",
            legal="whole numbers of shape (N,)",
        )
    return torch.from_numpy(array.reshape(-1).astype(np.int64))


def write_test_images(path: Path, data: ImageData) -> None:
    """Write the test pictures as a network sees them: ``images`` float32, ``labels`` int64.

    Raises:
        UsageError: The file cannot be written.
    """
    content = io.BytesIO()
    images = data.normalised(data.test_images).cpu().numpy()
    np.savez(content, images=images, labels=data.test_labels.cpu().numpy())
    atomic.write_bytes(path, content.getvalue())

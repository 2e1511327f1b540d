"""Folders and archives of small pictures."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from legoexport.lego.normalization import Normalization

SHAPE = (3, 6, 8)
NORMALIZATION = Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
LABELS = {"train": (0, 0, 0, 1, 1, 1), "test": (0, 1, 1)}


def pixels(part: str, index: int) -> NDArray[np.uint8]:
    """``(h, w, c)``."""
    rng = np.random.default_rng([len(part), index])
    return rng.integers(0, 256, (*SHAPE[1:], 3)).astype(np.uint8)


def write_labelled(folder: Path) -> Path:
    """Write ``train/CLASS`` and ``test/CLASS``; the class of picture i is LABELS[part][i]."""
    for part, labels in LABELS.items():
        for index, label in enumerate(labels):
            file = folder / part / "ab"[label] / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels(part, index)).save(file)
    return folder


def write_plain(folder: Path, count: int) -> Path:
    """Write pictures of no class."""
    folder.mkdir(exist_ok=True)
    for index in range(count):
        Image.fromarray(pixels("plain", index)).save(folder / f"{index:03}.png")
    return folder


def zipped(folder: Path, path: Path) -> Path:
    """Put a folder into an archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, f"top/{file.relative_to(folder)}")
    return path


def as_seen(part: str, count: int) -> NDArray[np.float64]:
    """Return what the network takes, computed in float64: ``(N, c, h, w)``."""
    colours = np.stack([pixels(part, index) for index in range(count)]) / 255
    mean, std = np.array(NORMALIZATION.mean), np.array(NORMALIZATION.std)
    return np.moveaxis((colours - mean) / std, 3, 1)

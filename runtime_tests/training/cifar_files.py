"""CIFAR-10's files as their author wrote them: records, and pickles of Python 2 with numpy 1."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
NAMES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
PER_BATCH = 4


def pictures() -> tuple[Images, list[int]]:
    """Pictures ``(24, 3, 32, 32)`` and their labels, for six batches of four."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6 * PER_BATCH, 3, 32, 32)).astype(np.uint8)
    return images, [(3 * i) % 10 for i in range(len(images))]


def write_binary(folder: Path) -> None:
    images, labels = pictures()
    for number, name in enumerate(NAMES):
        part = slice(number * PER_BATCH, (number + 1) * PER_BATCH)
        records = [
            bytes([label]) + image.tobytes()
            for image, label in zip(images[part], labels[part], strict=True)
        ]
        (folder / f"{name}.bin").write_bytes(b"".join(records))


def write_pickles(folder: Path) -> None:
    images, labels = pictures()
    for number, name in enumerate(NAMES):
        part = slice(number * PER_BATCH, (number + 1) * PER_BATCH)
        content = python_2_batch(images[part].reshape(PER_BATCH, -1), labels[part])
        (folder / name).write_bytes(content)


def python_2_batch(data: Images, labels: list[int]) -> bytes:
    """A batch by protocol 2 of Python 2: every string is bytes; the array calls numpy by name."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01(cnumpy\nndarray\nq\x02K\x00\x85q\x03"
        + text(b"b")
        + b"tRq\x04(K\x01"
        + number(data.shape[0])
        + number(data.shape[1])
        + b"\x86cnumpy\ndtype\nq\x05("
        + text(b"u1")
        + b"K\x00K\x01tRq\x06(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + b"T"
        + struct.pack("<i", data.size)
        + data.tobytes()
        + b"tb"
    )
    listed = b"]q\x07(" + b"".join(map(number, labels)) + b"e"
    items = text(b"data") + array + text(b"labels") + listed
    items += text(b"batch_label") + text(b"training batch 1 of 5")
    return b"\x80\x02}q\x08(" + items + b"u."


def text(content: bytes) -> bytes:
    return b"U" + bytes([len(content)]) + content


def number(value: int) -> bytes:
    return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)

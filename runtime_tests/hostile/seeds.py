"""Sound checkpoints of every container, and the sites in them that a mutation aims at."""

import io
import pickletools
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import safetensors.torch
import torch

from legoexport.models.checkpoint import write_checkpoint
from runtime_tests.checkpoints.digits import DIGITS, digits
from runtime_tests.checkpoints.published import published_network, save_published

CONTAINERS = ("zip", "legacy", "safetensors")


@cache
def sound(container: str) -> tuple[bytes, ...]:
    """Files with nothing wrong: bare and own state dictionaries, and a whole published model."""
    with TemporaryDirectory() as folder:
        return tuple(path.read_bytes() for path in _saved(Path(folder), container))


def _saved(folder: Path, container: str) -> list[Path]:
    state = digits().state_dict()
    if container == "safetensors":
        own, bare = folder / "own.safetensors", folder / "bare.safetensors"
        write_checkpoint(own, digits(), arch="lego_digits", hyperparameters=DIGITS)
        safetensors.torch.save_file(state, bare)
        return [own, bare]
    own, bare, whole = folder / "own.pt", folder / "bare.pt", folder / "whole.pt"
    facts = {"format": "legoexport", "version": 1, "arch": "lego_digits", "training": {}}
    zipped = container == "zip"
    values = ((own, {**facts, "hyperparameters": DIGITS, "state_dict": state}), (bare, state))
    for path, value in values:
        torch.save(value, path, _use_new_zipfile_serialization=zipped)
    small = published_network(widths=(64, 0, 64, 0, 64, 0, 64, 0, 512, 0), o=2, ratio=1 / 64)
    return [own, bare, save_published(small, whole, zipped=zipped)]


def unzipped(content: bytes) -> dict[str, bytes]:
    """The records of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive of records."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@cache
def instructions(pickled: bytes) -> tuple[bytes, ...]:
    """The instructions of the first pickle in the bytes, each with its argument."""
    starts = [position or 0 for _opcode, _argument, position in pickletools.genops(pickled)]
    ends = [*starts[1:], starts[-1] + 1]
    return tuple(pickled[start:end] for start, end in zip(starts, ends, strict=True))


def pickles(content: bytes) -> list[bytes]:
    """The five pickles at the beginning of a legacy file, and what follows them."""
    parts = []
    for _part in range(5):
        length = sum(map(len, instructions(content)))
        parts.append(content[:length])
        content = content[length:]
    return [*parts, content]

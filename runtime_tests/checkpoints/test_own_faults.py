"""A mistake in our own code surfaces as itself: it is not the user's file that is damaged."""

import importlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from runtime_tests.checkpoints.published import published_network, save_published

PACKAGE = "legoexport.models.checkpoint"
DIGITS = {"o": 2, "m_ratio": 0.5}
READERS = [
    "read.find_layout",
    "read.load",
    "read.infer_hyperparameters",
    "files.read_zip",
    "files.check_not_converted",
    "zip_container.read_pickle",
    "zip_container.declared_storage",
    "pickle_stream.find_global",
    "pickle_machine.store",
    "allowed_globals.stored_tensor",
    "tensors._copied",
    "network.build",
    "layout._named_tensors",
]
MISTAKES = [
    TypeError,
    KeyError,
    IndexError,
    RuntimeError,
    ValueError,
    ZeroDivisionError,
    NotImplementedError,
    EOFError,
    OSError,
]


@cache
def sound() -> bytes:
    """The bytes of a checkpoint with nothing wrong."""
    with TemporaryDirectory() as folder:
        state = published_network(ratio=1 / 64).state_dict()
        return save_published(state, Path(folder) / "weights.pth", zipped=True).read_bytes()


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("reader", READERS)
def test_our_own_mistake_is_not_called_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, mistake: type[Exception]
) -> None:
    path = tmp_path / "weights.pth"
    if reader == "files.check_not_converted":
        path.write_bytes(b"hello, I am no checkpoint")
    else:
        path.write_bytes(sound())

    def fail(*_: object, **__: object) -> None:
        raise mistake("planted")

    module, _, name = reader.partition(".")
    monkeypatch.setattr(importlib.import_module(f"{PACKAGE}.{module}"), name, fail)
    with pytest.raises(mistake, match="planted"):
        read_checkpoint(path)


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", ["d.pt", "d.safetensors"])
def test_our_own_mistake_is_not_called_an_unwritable_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mistake: type[Exception]
) -> None:
    network = build("lego_digits", **DIGITS)

    def fail(*_: object, **__: object) -> None:
        raise mistake("planted")

    monkeypatch.setattr(torch.Tensor, "clone", fail)
    with pytest.raises(mistake, match="planted"):
        write_checkpoint(tmp_path / name, network, arch="lego_digits", hyperparameters=DIGITS)

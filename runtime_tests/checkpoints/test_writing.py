"""A checkpoint is written whole or not at all."""

import resource
import signal
from pathlib import Path

import pytest

from legoexport.errors import CheckpointError, UsageError
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build

DIGITS = {"o": 2, "m_ratio": 0.5}


@pytest.mark.parametrize("name", ["d.pt", "d.safetensors"])
def test_write_that_fails_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")
    network = build("lego_digits", **DIGITS)
    with pytest.raises(CheckpointError, match="cannot be written"):
        write_checkpoint(
            tmp_path / name, network, arch="lego_digits", hyperparameters={"o": object()}
        )
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("name", ["d.pt", "d.safetensors"])
def test_write_where_nothing_can_be_written(tmp_path: Path, name: str) -> None:
    network = build("lego_digits", **DIGITS)
    with pytest.raises(UsageError, match="cannot write"):
        write_checkpoint(tmp_path / "no" / name, network, arch="a", hyperparameters={})


@pytest.mark.parametrize("room_bytes", [4096, 100_000])
@pytest.mark.parametrize("name", ["d.pt", "d.safetensors"])
def test_write_that_ends_early_leaves_the_old_file(
    tmp_path: Path, name: str, room_bytes: int
) -> None:
    (tmp_path / name).write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, limits[1]))
    try:
        with pytest.raises(UsageError, match=f"cannot write .*{name}"):
            write_checkpoint(
                tmp_path / name,
                build("lego_digits", **DIGITS),
                arch="lego_digits",
                hyperparameters=DIGITS,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]

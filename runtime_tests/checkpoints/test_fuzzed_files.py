"""Damaged checkpoints: each is read as a network or refused with a clear error, nothing else."""

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from runtime_tests.checkpoints.published import published_network, save_published

pytestmark = pytest.mark.usefixtures("little_memory")

LIMIT_S = 5
STRUCTURE_BYTES = 40_000
DIGITS = {"o": 2, "m_ratio": 0.5}
KINDS = ["pickled.zip", "pickled.legacy", "state.zip", "state.legacy", "own.pt", "own.safetensors"]
FUZZ = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@cache
def sound(kind: str) -> bytes:
    """The bytes of a checkpoint with nothing wrong."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / kind
        if kind.startswith("own"):
            network = build("lego_digits", **DIGITS)
            write_checkpoint(path, network, arch="lego_digits", hyperparameters=DIGITS)
        else:
            network = published_network()
            value = network if kind.startswith("pickled") else network.state_dict()
            save_published(value, path, zipped=path.suffix == ".zip")
        return path.read_bytes()


@cache
def network_state() -> dict[str, torch.Tensor]:
    return published_network().state_dict()


def survives(folder: Path, content: bytes, name: str = "weights.pth") -> bool:
    """Whether it is read; anything but a network or a `CheckpointError` fails the test."""
    path = folder / name
    path.write_bytes(content)
    begun_s = time.process_time()
    refusal = ""
    try:
        read_checkpoint(path)
    except CheckpointError as error:
        refusal = str(error)
    assert time.process_time() - begun_s < LIMIT_S
    assert path.read_bytes() == content
    assert list(folder.iterdir()) == [path]
    assert "MemoryError" not in refusal
    return not refusal


@dataclass(frozen=True)
class Places:
    """Byte positions, mostly where the structure is: at both ends, where the pickles are too."""

    length: int

    def strategy(self) -> st.SearchStrategy[int]:
        near = min(STRUCTURE_BYTES, self.length)
        return st.one_of(
            st.integers(0, near - 1),
            st.integers(0, near - 1).map(lambda distance: self.length - 1 - distance),
            st.integers(0, self.length - 1),
        )


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@FUZZ
def test_flipped_bits(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content = bytearray(sound(kind))
    flips = st.tuples(Places(len(content)).strategy(), st.integers(0, 7))
    for position, bit in data.draw(st.lists(flips, min_size=1, max_size=8)):
        content[position] ^= 1 << bit
    survives(tmp_path, bytes(content), kind)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@FUZZ
def test_truncated(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content = sound(kind)
    length = data.draw(Places(len(content)).strategy())
    assert not survives(tmp_path, content[:length], kind)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@FUZZ
def test_overwritten_stretch(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content = bytearray(sound(kind))
    start = data.draw(Places(len(content)).strategy())
    stretch = data.draw(st.binary(min_size=1, max_size=64))
    content[start : start + len(stretch)] = stretch
    survives(tmp_path, bytes(content), kind)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@given(data=st.data())
@FUZZ
def test_swapped_tensors(tmp_path: Path, zipped: bool, data: st.DataObject) -> None:
    state = dict(network_state())
    first, second = data.draw(st.lists(st.sampled_from(sorted(state)), min_size=2, max_size=2))
    fits = state[first].shape == state[second].shape
    state[first], state[second] = state[second], state[first]
    torch.save(state, tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "weights.pth").read_bytes()
    assert survives(tmp_path, content) == fits


@pytest.mark.parametrize("kind", KINDS)
def test_sound(tmp_path: Path, kind: str) -> None:
    assert survives(tmp_path, sound(kind), kind)

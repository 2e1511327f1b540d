"""Reading takes the file, twice its tensors, and a constant; a file that lies takes no more.

Whole processes are measured, files of 50 to 205 MB and small ones. Time is held by
``test_bounded_work.py``.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from legoexport.models.registry import build
from runtime_tests.checkpoints.test_hostile_files import zipped_pickle

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its own peak"),
]
SCRIPT = Path(__file__).with_name("read_peak.py")
ARCH = "resnet50"
MEGABYTE = 10**6
# What the allocator keeps, the text of names, and the module itself: 13 MB were measured.
SOUND_BYTES = 40 * MEGABYTE
# The most instructions that are followed make 1.2 million containers of at most 216 bytes, and the
# most text takes 64 MB.
HOSTILE_BYTES = 400 * MEGABYTE

State = dict[str, torch.Tensor]


def state_of(arch: str) -> State:
    with torch.device("meta"):
        wanted = build(arch).state_dict()
    return {
        name: torch.rand(one.shape) if one.is_floating_point() else torch.zeros_like(one)
        for name, one in (
            (name, torch.empty_like(one, device="cpu")) for name, one in wanted.items()
        )
    }


WRITERS: dict[str, Callable[[State, Path], object]] = {
    "zip": torch.save,
    "legacy": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
    "safetensors": save_file,
    "half": lambda state, path: torch.save(
        {name: one.half() if one.is_floating_point() else one for name, one in state.items()}, path
    ),
    "beside others": lambda state, path: torch.save(
        {"state_dict": state, "optimizer": [one.clone() for one in state.values()]}, path
    ),
}
TEXT = "😀".encode() + b"x" * 200
HOSTILE = {
    "one text": b"X" + struct.pack("<I", 50 * MEGABYTE) + "😀".encode() + b"x" * 50 * MEGABYTE,
    "many texts": (b"\x8c" + bytes([len(TEXT)]) + TEXT) * (50 * MEGABYTE // len(TEXT)),
    "bytes": b"B" + struct.pack("<I", 50 * MEGABYTE) + b"x" * 50 * MEGABYTE,
    "sets": b"\x8f" * 1_190_000,
    "dictionaries": b"}" * 1_190_000 + b"x" * 50 * MEGABYTE,
}  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "digits.pt"
    torch.save(state_of("digits"), path)
    return path


def measured(small: Path, path: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, SCRIPT, small, path, ARCH], capture_output=True, check=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    print(f"{path.name}: {found}")
    return found


@pytest.mark.parametrize("form", WRITERS)
def test_a_sound_file(tmp_path: Path, small: Path, form: str) -> None:
    WRITERS[form](state_of(ARCH), tmp_path / form)
    found = measured(small, tmp_path / form)
    bound = found["file_bytes"] + 2 * found["tensors_bytes"] + SOUND_BYTES
    assert found["tensors_bytes"] < found["grown_bytes"] < bound


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file(tmp_path: Path, small: Path, what: str) -> None:
    zipped_pickle(tmp_path / "trap.pth", HOSTILE[what])
    found = measured(small, tmp_path / "trap.pth")
    assert found["tensors_bytes"] == 0
    assert found["grown_bytes"] > MEGABYTE
    # The pickle is the file, and is taken out of the archive whole.
    assert found["grown_bytes"] < 2 * found["file_bytes"] + HOSTILE_BYTES

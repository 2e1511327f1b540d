"""Reading takes the file, what the network keeps, and a constant; a file that lies takes no more.

Promised is the file and twice the tensors. Whole processes are measured, files of 50 to 205 MB and
small ones. Time is held by ``test_bounded_work.py``.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from legoexport.models.registry import build
from runtime_tests.checkpoints.test_hostile_files import text, zipped_pickle

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its own peak"),
]
SCRIPT = Path(__file__).with_name("read_peak.py")
ARCH = "resnet50"
MEGABYTE = 10**6
# What the allocator keeps, the text of names, and the module itself. The second file also takes
# what the first one left free, so that less than the file and the tensors was measured.
SOUND_BYTES = 10 * MEGABYTE
# What a pickle may build is 67 MB as Python counts; with what the allocator adds, 74 MB were
# measured.
HOSTILE_BYTES = 90 * MEGABYTE

State = dict[str, torch.Tensor]
Reader = subprocess.Popen[str]


@cache
def state_of(arch: str) -> State:
    with torch.device("meta"):
        wanted = build(arch).state_dict()
    return {
        name: torch.rand(one.shape) if one.is_floating_point() else torch.zeros_like(one)
        for name, one in (
            (name, torch.empty_like(one, device="cpu")) for name, one in wanted.items()
        )
    }


def cast(state: State, dtype: torch.dtype) -> State:
    return {name: one.to(dtype) if one.is_floating_point() else one for name, one in state.items()}


def over_one_storage(state: State) -> State:
    """Every tensor is a view of the same few numbers, as many as the largest needs, three times."""
    numbers = torch.rand(3 * max(one.numel() for one in state.values()))
    return {
        name: numbers[: one.numel()].view(one.shape) if one.is_floating_point() else one
        for name, one in state.items()
    }


def save_legacy(state: State, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


WRITERS: dict[str, Callable[[State, Path], object]] = {
    "zip": torch.save,
    "legacy": save_legacy,
    "safetensors": save_file,
    "float16": lambda state, path: torch.save(cast(state, torch.float16), path),
    "float64": lambda state, path: torch.save(cast(state, torch.float64), path),
    "legacy float64": lambda state, path: save_legacy(cast(state, torch.float64), path),
    "safetensors float64": lambda state, path: save_file(cast(state, torch.float64), path),
    "safetensors bfloat16": lambda state, path: save_file(cast(state, torch.bfloat16), path),
    "one storage": lambda state, path: torch.save(over_one_storage(state), path),
    "beside others": lambda state, path: torch.save(
        {"state_dict": state, "optimizer": [one.clone() for one in state.values()]}, path
    ),
}
TEXT = "😀".encode() + b"x" * 200
REFERENCE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"KdtQ"
HOSTILE = {
    "one text": b"X" + struct.pack("<I", 50 * MEGABYTE) + "😀".encode() + b"x" * 50 * MEGABYTE,
    "many texts": (b"\x8c" + bytes([len(TEXT)]) + TEXT) * (50 * MEGABYTE // len(TEXT)),
    "bytes": b"B" + struct.pack("<I", 50 * MEGABYTE) + b"x" * 50 * MEGABYTE,
    "sets": b"\x8f" * 1_190_000,
    "dictionaries": b"}" * 1_190_000 + b"x" * 50 * MEGABYTE,
    "memo": b"]\x94" * 590_000,
    "objects": b"ca\nb\nq\x00" + b"h\x00)R" * 399_000,
    "modules": b"ctorch.nn.modules.container\nSequential\nq\x00" + b"h\x00)\x81" * 399_000,
    "tensors": b"ctorch._utils\n_rebuild_tensor_v2\nq\x00(" + REFERENCE
    + b"K\x00K\x01\x85K\x01\x85tq\x01" + b"h\x00h\x01R" * 399_000,
    "keys": b"}" + b"".join(b"J" + struct.pack("<I", n) + b"Ns" for n in range(399_000)),
    "a set": b"\x8f(" + b"".join(b"J" + struct.pack("<I", n) for n in range(1_190_000)) + b"\x90",
    "long names": b"".join(b"X" + struct.pack("<I", 60_000) + b"x" * 60_000 for _ in range(800)),
}  # fmt: skip
LYING_HEADERS = {
    "objects": b'{"a":[' + b"{}," * 499_000 + b"{}]}",
    "lists": b'{"a":[' + b"[]," * 499_000 + b"[]]}",
    "numbers": b'{"a":[' + b"257," * 999_000 + b"1]}",
    "a text": b'{"a":"' + "😀".encode() + b"x" * (2**23 - 20) + b'"}',
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    path = tmp_path_factory.mktemp("small") / "digits.pt"
    torch.save(state_of("digits"), path)
    # A fork has none of its parent's threads.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, SCRIPT, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        yield process
        process.communicate()


def measured(reader: Reader, path: Path) -> dict[str, float]:
    assert reader.stdin
    assert reader.stdout
    reader.stdin.write(json.dumps([str(path), ARCH]) + "\n")
    reader.stdin.flush()
    found: dict[str, float] = json.loads(reader.stdout.readline())
    print(f"{path.name}: {found}")
    return found


@pytest.mark.parametrize("form", WRITERS)
def test_a_sound_file(tmp_path: Path, reader: Reader, form: str) -> None:
    WRITERS[form](state_of(ARCH), tmp_path / form)
    found = measured(reader, tmp_path / form)
    bound = found["file_bytes"] + found["tensors_bytes"] + SOUND_BYTES
    assert found["tensors_bytes"] < found["grown_bytes"] < bound


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file(tmp_path: Path, reader: Reader, what: str) -> None:
    zipped_pickle(tmp_path / "trap.pth", HOSTILE[what])
    found = measured(reader, tmp_path / "trap.pth")
    assert found["tensors_bytes"] == 0
    assert found["grown_bytes"] < found["file_bytes"] + HOSTILE_BYTES


@pytest.mark.parametrize("what", LYING_HEADERS)
def test_a_hostile_header(tmp_path: Path, reader: Reader, what: str) -> None:
    header = LYING_HEADERS[what]
    (tmp_path / "trap.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    found = measured(reader, tmp_path / "trap.safetensors")
    assert found["grown_bytes"] < found["file_bytes"] + HOSTILE_BYTES

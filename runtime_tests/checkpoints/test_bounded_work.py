"""Files that say little many times: work and messages stay in proportion to their length."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from runtime_tests.checkpoints.digits import DIGITS, digits
from runtime_tests.checkpoints.published import published_network
from runtime_tests.checkpoints.test_hostile_files import (
    number,
    refused,
    tensor,
    text,
    zipped_pickle,
)

pytestmark = pytest.mark.usefixtures("little_memory")

# Five seconds are promised on a processor to itself; the tests share theirs.
LIMIT_S = 10
LONGEST_MESSAGE = 3000
MANY = 300_000
LONG = "x" * 60_000
STORAGE = b"ctorch\nFloatStorage\n"
SEQUENTIAL = b"ctorch.nn.modules.container\nSequential\n"


@pytest.fixture(autouse=True)
def little_time() -> Iterator[None]:
    begun_s = time.process_time()
    yield
    assert time.process_time() - begun_s < LIMIT_S


def index(position: int) -> bytes:
    return b"j" + struct.pack("<I", position)


def modules(count: int, name_length: int) -> bytes:
    """A published network with many modules, all in one table, whose names are long."""
    empty = b"}" + text("_parameters") + b"}s" + text("_buffers") + b"}s" + text("_modules") + b"}s"
    children = b"".join(
        text(f"{number:0{name_length}}") + SEQUENTIAL + b")\x81" + empty + b"bs"
        for number in range(count)
    )
    own = b"}" + text("_parameters") + b"}s" + text("_buffers") + b"}s" + text("_modules") + b"}"
    return b"cvgg\nlego_vgg16\n)\x81" + own + children + b"sb"


def chain(count: int, name: str) -> bytes:
    """Modules within each other, all by one long name that the file holds once."""
    tables = (
        b"}" + text("_parameters") + b"}s" + text("_buffers") + b"}s" + text("_modules") + b"}h\x00"
    )
    opened = SEQUENTIAL + b")\x81" + tables
    return (
        text(name) + b"q\x00" + b"cvgg\nlego_vgg16\n)\x81" + tables
        + opened * count + b"N" + b"ssb" * count + b"ssb"
    )  # fmt: skip


def own(hyperparameters: bytes) -> bytes:
    return (
        b"}" + text("format") + text("legoexport") + b"s" + text("version") + b"K\x01s"
        + text("arch") + text("lego_digits") + b"s" + text("state_dict") + b"}s"
        + text("hyperparameters") + hyperparameters + b"s"
    )  # fmt: skip


CRAFTED = {
    "a long storage key, read again and again": text("storage") + b"q\x00" + STORAGE + b"q\x01"
    + text(LONG) + b"q\x02" + text("cpu") + b"q\x03" + b"(h\x00h\x01h\x02h\x03K\x01tQ" * MANY,
    "a long name of a class, looked up again and again": text("a." + LONG) + b"q\x00" + text("b")
    + b"q\x01" + b"h\x00h\x01\x93" * MANY,
    "a long reference, followed again and again": b"(" + text("storage") + b"N" * 60_000
    + b"tq\x00" + b"h\x00Q" * MANY,
    "long names in many modules": modules(20_000, 900),
    "one long name in a chain of modules": chain(20_000, LONG),
    "one name in a chain of modules": chain(20_000, "x" * 900),
    "one list for many hyper-parameters": b"](" + b"K\x01" * 60_000 + b"eq\x00"
    + own(b"}" + b"".join(text(f"{number}") + b"h\x00s" for number in range(60_000))),
    "a word of many letters": own(b"}" + text("o") + text("word " * 100_000) + b"s"),
    "a name of many letters": own(b"}" + text(LONG) + b"K\x01s"),
    "many names": own(b"}" + b"".join(text(f"{n}") + b"K\x01s" for n in range(100_000))),
    "an enormous number": own(b"}" + text("o") + number(2**62) + b"s"),
    "an enormous ratio": own(b"}" + text("m_ratio") + b"G" + struct.pack(">d", 1e300) + b"s"),
    "no ratio": own(b"}" + text("m_ratio") + b"G" + struct.pack(">d", float("nan")) + b"s"),
    "an enormous integer": own(b"}" + text("o") + b"\x8b" + struct.pack("<I", 10**6) + b"1" * 10**6
    + b"s"),
    "escapes of a terminal": own(b"}" + text("\x1b[2J\x1b]0;title\x07") + b"K\x01s"),
    "text that takes four times its bytes": b"X" + struct.pack("<I", 30_000_004) + "😀".encode()
    + b"x" * 30_000_000,
    "bytes that nobody reads": b"B" + struct.pack("<I", 30_000_000) + b"x" * 30_000_000,
    "many prefixes": tensor(b"Kd", b"Kd\x85", b"K\x01\x85").replace(
        text("w"), text("module." * 200_000 + "w")),
    "more instructions than any training needs": b"]" * 5_000_000,
    "many objects of a class": b"ca\nb\nq\x00" + b"h\x00)R" * 1_200_000,
    "many tensors over one storage": b"}" + tensor(b"Kd", b"Kd\x85", b"K\x01\x85")[1:-1] + b"q\x07s"
    + b"".join(text(f"{n}") + b"h\x07s" for n in range(100_000)),
}  # fmt: skip


@pytest.mark.parametrize("what", CRAFTED)
def test_crafted_pickle(tmp_path: Path, what: str) -> None:
    message = refused(zipped_pickle(tmp_path / "trap.pth", CRAFTED[what]))
    assert len(message) < LONGEST_MESSAGE
    assert "\x1b" not in message


def test_one_storage_for_every_tensor_of_a_network(tmp_path: Path) -> None:
    state = published_network(ratio=1 / 4).state_dict()
    largest = max(state.values(), key=torch.numel)
    floats = {k: v for k, v in state.items() if v.is_floating_point()}
    shared = {k: largest.flatten()[: v.numel()].view(v.shape) for k, v in floats.items()}
    torch.save(state | shared, tmp_path / "trap.pth")
    assert "all over each other" in refused(tmp_path / "trap.pth")


def test_records_that_lie_over_each_other(tmp_path: Path) -> None:
    path = tmp_path / "trap.pth"
    torch.save(digits().state_dict(), path)
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    entry = content[start : content.index(b"PK\x01\x02", start + 4)]
    end = content.rindex(b"PK\x05\x06")
    count = 2000
    tail = bytearray(content[end:])
    (old,) = struct.unpack_from("<H", tail, 10)
    (size,) = struct.unpack_from("<I", tail, 12)
    struct.pack_into("<HHI", tail, 8, old + count, old + count, size + count * len(entry))
    path.write_bytes(content[:start] + entry * count + content[start:end] + bytes(tail))
    refused(path)


@pytest.mark.parametrize("name", ["d.pt", "d.safetensors"])
def test_long_hyperparameters_are_shortened(tmp_path: Path, name: str) -> None:
    settings = {**DIGITS, "o": "word " * 100_000}
    write_checkpoint(tmp_path / name, digits(), arch="lego_digits", hyperparameters=settings)
    message = refused(tmp_path / name)
    assert len(message) < LONGEST_MESSAGE
    assert "characters)" in message


def test_a_large_sound_file_is_read(tmp_path: Path) -> None:
    state = digits().state_dict()
    history = [float(step) for step in range(200_000)]
    torch.save({"state_dict": state, "history": history}, tmp_path / "w.pt")
    checkpoint = read_checkpoint(tmp_path / "w.pt", arch="lego_digits", hyperparameters=DIGITS)
    assert checkpoint.form == "state_dict"

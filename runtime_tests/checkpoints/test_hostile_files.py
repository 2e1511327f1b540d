"""Files made to run code, to exhaust memory or to hang: refused, and nothing of theirs runs."""

import collections
import os
import pickle
import struct
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint import read_checkpoint
from runtime_tests.checkpoints.published import published_modules, published_network

pytestmark = pytest.mark.usefixtures("little_memory")

LIMIT_S = 5


@pytest.fixture(autouse=True)
def little_time() -> Iterator[None]:
    begun_s = time.process_time()
    yield
    assert time.process_time() - begun_s < LIMIT_S


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.made_by = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.made_by


def attacks(sentinel: Path) -> dict[str, Call]:
    command = f"touch {sentinel}"
    code = f"open({str(sentinel)!r}, 'w')"
    return {
        f"{os.system.__module__}.system": Call(os.system, command),
        "builtins.eval": Call(eval, code),
        "builtins.exec": Call(exec, code),
        "builtins.getattr": Call(getattr, "x", "y"),
        "io.open": Call(open, str(sentinel), "w"),
        "builtins.bytearray": Call(bytearray, 2**40),
        # Protocol 2 goes by the names of Python 2.
        "commands.Popen": Call(subprocess.Popen, command),
        "torch.hub.load": Call(torch.hub.load, str(sentinel.parent), "trap"),
        "torch.serialization.load": Call(torch.load, str(sentinel)),
        "torch._C._nn.linear": Call(torch._C._nn.linear, 0, 0),
    }


NAMES = sorted(attacks(Path("x")))


def as_it_is(call: Call) -> object:
    return call


def in_a_state_dict(call: Call) -> object:
    return collections.OrderedDict(weight=torch.zeros(3), trap=call)


def in_the_state_of_a_module(call: Call) -> object:
    network = published_network()
    network.features[3].trap = call  # type: ignore[assignment]
    return network


def in_a_key(call: Call) -> object:
    return {"state_dict": [(call, torch.zeros(3))]}


PLACES = [as_it_is, in_a_state_dict, in_the_state_of_a_module, in_a_key]


def refused(path: Path) -> str:
    before = path.read_bytes()
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    message = str(caught.value)
    assert str(path) in message
    assert "weights_only" not in message
    assert "MemoryError" not in message
    return message


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", NAMES)
def test_foreign_global_is_named_and_not_run(
    tmp_path: Path, name: str, zipped: bool, place: Callable[[Call], object]
) -> None:
    value = place(attacks(tmp_path / "sentinel")[name])
    with published_modules():
        torch.save(value, tmp_path / "trap.pth", _use_new_zipfile_serialization=zipped)
    assert f"asks for {name}, which" in refused(tmp_path / "trap.pth")


@pytest.mark.parametrize(
    "call",
    [
        b"cmy.code\nrun\n(K\x01tR",  # not a class of the user's that is only made anew
        b"cos\ngetpid\n)R",
        b"cposix\ngetpid\n)R",
        b"c__builtin__\nexit\n)R",
        b"cantigravity\ngeohash\n)\x81",
        b"ctorch.hub\nlist\n)R",
        b"cnumpy.testing\nrundocs\n)R",
    ],
)
def test_call_that_would_run_code(tmp_path: Path, call: bytes) -> None:
    assert "asks for" in refused(
        zipped_pickle(tmp_path / "trap.pth", b"}" + text("a") + call + b"s")
    )


@pytest.mark.parametrize("protocol", range(2, 6))
def test_bare_pickle(tmp_path: Path, protocol: int) -> None:
    call = attacks(tmp_path / "sentinel")["builtins.eval"]
    (tmp_path / "trap.pth").write_bytes(pickle.dumps(call, protocol))
    assert "eval" in refused(tmp_path / "trap.pth")


def zipped_pickle(path: Path, instructions: bytes, *, storage: bytes = bytes(400)) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + instructions + b".")
        archive.writestr("a/data/0", storage)
    return path


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def tensor(numel: bytes, shape: bytes, stride: bytes) -> bytes:
    """Instructions that rebuild a tensor, under the name "w" in a dictionary."""
    reference = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n(" + reference + numel + b"tQK\x00"
    return b"}" + text("w") + rebuild + shape + stride + b"\x89}tRs"


def number(value: int) -> bytes:
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


HUGE = number(2**50)
HOSTILE = {
    "storage longer than the file": tensor(HUGE, HUGE + b"\x85", b"K\x01\x85"),
    "tensor longer than its storage": tensor(b"Kd", b"M\xe8\x03\x85", b"K\x01\x85"),
    "stride 0 over a terabyte": tensor(b"Kd", number(2**39) + b"\x85", b"K\x00\x85"),
    "last element outside": tensor(b"Kd", b"K\x02\x85", b"Kd\x85"),
    "negative stride": tensor(b"Kd", b"K\x02\x85", number(-1) + b"\x85"),
    "negative shape": tensor(b"Kd", number(-2) + b"\x85", b"K\x01\x85"),
    "shape of text": tensor(b"Kd", text("a") + b"\x85", b"K\x01\x85"),
    "ten thousand dimensions": tensor(b"Kd", b"(" + b"K\x01" * 10_000 + b"t", b"K\x01\x85"),
    "memo at four billion": b"}r\xff\xff\xff\xff",
    "text of four gibibytes": b"X\xff\xff\xff\xff",
    "value never made": b"h\x07",
    "nothing to take": b"",
    "no mark": b"t",
    "items into a number": b"K\x01K\x02K\x03s",
    "state for a class": b"cvgg\nlego_vgg16\n}b",
    "call of a class": b"cvgg\nlego_vgg16\n)R",
    "object from a function": b"ctorch._utils\n_rebuild_parameter\n)\x81",
    "call of a number": b"K\x01)R",
    "wrong arguments": b"ctorch._utils\n_rebuild_parameter\n)R",
    "global without an end": b"ctorch",
    "global that is no text": b"K\x01K\x02\x93",
    "extension registry": b"\x82\x01",
    "INST": b"(ios\nsystem\n",
    "a reference to code": b"(" + text("module") + text("os") + b"tQ",
    "tuples nested to hash for ever": b")q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"}h\x00K\x01s",
    "tuples nested to show for ever": b")q\x00" + b"h\x00h\x00\x86q\x00" * 60,
    "tuples nested without end": b")" + b"\x85" * 200_000,
    "a list that holds itself": b"]q\x00h\x00a",
    "a dictionary that holds itself": b"}q\x00" + text("model") + b"h\x00s",
    "a format that holds itself": b"}q\x00" + text("format") + text("legoexport") + b"s"
    + text("version") + b"K\x01s" + text("arch") + text("a") + b"s"
    + text("hyperparameters") + b"h\x00s" + text("state_dict") + b"h\x00s",
    "a module that holds itself": b"cvgg\nlego_vgg16\n)\x81q\x00}("
    + text("_parameters") + b"}" + text("_buffers") + b"}"
    + text("_modules") + b"}" + text("a") + b"h\x00s" + b"ub",
    "a module without state": b"cvgg\nlego_vgg16\n)\x81",
    "keys that are no text": b"}K\x01" + tensor(b"Kd", b"Kd\x85", b"K\x01\x85") + b"s",
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pickle(tmp_path: Path, what: str) -> None:
    refused(zipped_pickle(tmp_path / "trap.pth", HOSTILE[what]))


def test_one_list_for_many_calls(tmp_path: Path) -> None:
    pairs = b"](" + b"K\x01K\x02\x86" * 50_000 + b"eq\x00"
    calls = b"ccollections\nOrderedDict\nq\x01" + b"h\x01h\x00\x85R" * 20_000
    refused(zipped_pickle(tmp_path / "trap.pth", pairs + calls))


def test_compressed_record(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "trap.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02" + b"N" * 2**24 + b".")
    assert "compressed" in refused(tmp_path / "trap.pth")


def test_safetensors_header_of_a_terabyte(tmp_path: Path) -> None:
    (tmp_path / "trap.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}")
    refused(tmp_path / "trap.safetensors")


def test_endless_file() -> None:
    with pytest.raises(CheckpointError, match="is not a file"):
        read_checkpoint("/dev/zero")

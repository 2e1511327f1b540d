"""No output ever replaces an input, another output, or anything but a regular file of its kind."""

from __future__ import annotations

import io
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from legoexport.errors import UsageError
from legoexport.host.kinds import Kind, kind_of, kind_of_bytes
from legoexport.host.outputs import Output, check_outputs, check_regular


def onnx_bytes() -> bytes:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1,))
    node = helper.make_node("Relu", ["x"], ["y"])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1,))
    model = helper.make_model(helper.make_graph([node], "g", [value], [result]))
    return bytes(model.SerializeToString())


def npz_bytes() -> bytes:
    content = io.BytesIO()
    np.savez(content, images=np.zeros(3))
    return content.getvalue()


def checkpoint_bytes(*, zipped: bool) -> bytes:
    content = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, content, _use_new_zipfile_serialization=zipped)
    return content.getvalue()


CONTENTS: dict[Kind, Callable[[], bytes]] = {
    Kind.ONNX: onnx_bytes,
    Kind.ORT: lambda: b"\x20\0\0\0ORTM" + bytes(40),
    Kind.CHECKPOINT: lambda: checkpoint_bytes(zipped=True),
    Kind.SAFETENSORS: lambda: (2).to_bytes(8, "little") + b"{}",
    Kind.ARRAYS: npz_bytes,
    Kind.JSON: lambda: b'{"layers": {}}\n',
    Kind.TEXT: "épôque,loss\n".encode,
    Kind.OTHER: lambda: bytes(range(1, 90)),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_file_is_known_by_its_content(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "file.onnx"
    path.write_bytes(CONTENTS[kind]())
    assert kind_of(path) == kind


def test_checkpoints_before_torch_1_6_are_known_too(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(checkpoint_bytes(zipped=False))
    assert kind_of(path) == Kind.CHECKPOINT


def test_every_model_of_onnx_itself_is_known(tmp_path: Path) -> None:
    for ir_version in range(3, onnx.IR_VERSION + 1):
        model = onnx.load_from_string(onnx_bytes())
        model.ir_version = ir_version
        path = tmp_path / f"{ir_version}.onnx"
        path.write_bytes(model.SerializeToString())
        assert kind_of(path) == Kind.ONNX


@pytest.mark.parametrize("lowest_byte", [0x08, 0x50, 0x80])
def test_the_length_of_a_header_is_not_taken_for_another_kind(lowest_byte: int) -> None:
    header = b"{}".ljust(0x100 + lowest_byte)
    assert kind_of_bytes(len(header).to_bytes(8, "little") + header) == Kind.SAFETENSORS


def out(path: Path, option: str = "--out", kind: Kind | None = Kind.ONNX) -> Output:
    return Output(option, path, kind)


ALIASES: dict[str, Callable[[Path, Path], object]] = {
    "a hard link": os.link,
    "a symbolic link": lambda source, alias: alias.symlink_to(source),
}


@pytest.mark.parametrize("alias", ALIASES)
def test_an_output_is_no_input_under_another_name(alias: str, tmp_path: Path) -> None:
    source = tmp_path / "ckpt.pt"
    source.write_bytes(checkpoint_bytes(zipped=True))
    ALIASES[alias](source, tmp_path / "other")
    with pytest.raises(UsageError, match=r"(?s)--out .*other would overwrite CHECKPOINT .*ckpt.pt"):
        check_outputs([out(tmp_path / "other")], {"CHECKPOINT": source}, force=True)


@pytest.mark.parametrize("detour", ["ckpt.pt", "./ckpt.pt", "folder/../ckpt.pt"])
def test_an_output_is_no_input_by_a_detour(
    detour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("ckpt.pt").write_bytes(b"x")
    with pytest.raises(UsageError, match="would overwrite"):
        check_outputs([out(Path(detour))], {"CHECKPOINT": tmp_path / "ckpt.pt"}, force=True)


@pytest.mark.parametrize("exists", [False, True])
def test_two_outputs_are_two_files(*, exists: bool, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    if exists:
        path.write_bytes(onnx_bytes())
    twins = [out(path), out(tmp_path / "." / "m.onnx", "--dense-twin")]
    with pytest.raises(UsageError, match=r"--dense-twin .* would overwrite --out"):
        check_outputs(twins, {})


def test_two_dangling_links_to_one_file_are_one_output(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path / "file")
    with pytest.raises(UsageError, match="would overwrite"):
        check_outputs([out(tmp_path / "a"), out(tmp_path / "b", "--dense-twin")], {})


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


IRREGULAR: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": make_socket,
}


@pytest.mark.parametrize("what", IRREGULAR)
@pytest.mark.parametrize("linked", [False, True])
def test_only_regular_files_are_replaced(what: str, *, linked: bool, tmp_path: Path) -> None:
    place = tmp_path / "place"
    IRREGULAR[what](place)
    if linked:
        (tmp_path / "link").symlink_to(place)
    with pytest.raises(UsageError, match=f"received: {what}"):
        check_outputs([out(tmp_path / ("link" if linked else "place"))], {}, force=True)


@pytest.mark.parametrize(
    ("mode", "what"),
    [(stat.S_IFCHR, "a character device"), (stat.S_IFBLK, "a block device"), (0, "no regular")],
)
def test_a_device_is_not_replaced(
    mode: int, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "null"
    place.touch()
    found = os.stat_result((mode | 0o666, *place.stat()[1:]))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: found)
    with pytest.raises(UsageError, match=f"received: {what}"):
        check_regular(place, "--out")


def test_another_kind_of_file_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_bytes(checkpoint_bytes(zipped=True))
    with pytest.raises(UsageError, match=r"(?s)holds a PyTorch checkpoint.*--force"):
        check_outputs([out(path)], {})
    check_outputs([out(path)], {}, force=True)


@pytest.mark.parametrize("content", [b"", onnx_bytes()])
def test_an_empty_file_and_one_of_its_kind_may_be_replaced(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    check_outputs([out(path)], {})


def test_a_missing_folder_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"(?s)folder does not exist.*mkdir -p"):
        check_outputs([out(tmp_path / "no" / "m.onnx")], {})


def test_a_name_that_is_too_long_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be a file"):
        check_outputs([out(tmp_path / ("x" * 300))], {})


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UsageError, match="leads to itself"):
        check_outputs([out(tmp_path / "a")], {})

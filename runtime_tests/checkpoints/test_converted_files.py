"""An ONNX or ORT file in place of a checkpoint is called what it is, by every command."""

from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from legoexport.cli import group
from legoexport.errors import CheckpointError
from runtime_tests.checkpoints.test_clear_errors import refusal

ONNX_FILE = onnx.helper.make_model(
    onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])],
    )
).SerializeToString()
ORT_FILE = b"\x18\x00\x00\x00ORTM" + bytes(64)
CONVERTED = pytest.mark.parametrize(
    ("content", "kind"),
    [(ONNX_FILE, "an ONNX file already"), (ORT_FILE, "in ORT format already")],
    ids=["onnx", "ort"],
)


@CONVERTED
def test_file_that_is_converted_already(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    message = refusal(tmp_path / "model.bin")
    assert kind in message
    assert "verify" in message
    assert "the checkpoint that it was made from" in message


@CONVERTED
@pytest.mark.parametrize(
    "command",
    [
        ["convert", "model.bin", "--out", "out.onnx"],
        ["inspect", "model.bin"],
        ["fit", "--from", "model.bin", "--out", "out.pt"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_says_that_a_file_is_converted_already(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    content: bytes,
    kind: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.bin").write_bytes(content)
    result = CliRunner().invoke(group, command)
    assert isinstance(result.exception, CheckpointError)
    assert kind in str(result.exception)


def test_protobuf_that_is_no_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\x08\x07")
    assert "bytes of no known kind" in refusal(tmp_path / "model.bin")

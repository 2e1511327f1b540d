"""Files that are not checkpoints but what checkpoints are converted to."""

from __future__ import annotations

import onnx
from google.protobuf.message import DecodeError

from legoexport.errors import CheckpointError

_ORT_IDENTIFIER = b"ORTM"
_ORT_IDENTIFIER_AT = 4
_IR_VERSION_TAG = b"\x08"  # field 1 as a varint: what every writer of ONNX begins with


def check_not_converted(data: bytes) -> None:
    """Refuse an ONNX model, or one in ORT format, and say what can be done with it.

    Args:
        data: The whole file.

    Raises:
        CheckpointError: It is one of them.
    """
    if data[_ORT_IDENTIFIER_AT:].startswith(_ORT_IDENTIFIER):
        raise CheckpointError(
            "this is a model in ORT format already, and no checkpoint",
            legal="a checkpoint: weights that torch.save or safetensors wrote",
            next_step="give the checkpoint that it was made from; verify, bench and inspect take"
            " the ONNX file",
        )
    if _is_onnx(data):
        raise CheckpointError(
            "this is an ONNX file already, and no checkpoint",
            legal="a checkpoint: weights that torch.save or safetensors wrote",
            next_step="give the checkpoint that it was made from; for this file there are"
            " legoexport verify CHECKPOINT MODEL, bench MODEL, inspect MODEL and doctor MODEL",
        )


def _is_onnx(data: bytes) -> bool:
    if not data.startswith(_IR_VERSION_TAG):
        return False
    try:
        return bool(onnx.ModelProto.FromString(data).HasField("graph"))
    except DecodeError:
        return False

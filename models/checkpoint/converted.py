"""Files that are not checkpoints but what checkpoints are converted to."""

from __future__ import annotations

from legoexport.errors import CheckpointError
from legoexport.host.kinds import Kind

_LEGAL = "a checkpoint: weights that torch.save or safetensors wrote"


def check_not_converted(kind: Kind) -> None:
    """Refuse an ONNX model, or one in ORT format, and say what can be done with it.

    Args:
        kind: What the file holds.

    Raises:
        CheckpointError: It is one of them.
    """
    if kind is Kind.ORT:
        raise CheckpointError(
            "this is a model in ORT format already, and no checkpoint",
            legal=_LEGAL,
            next_step="give the checkpoint that it was made from; verify, bench and inspect take"
            " the ONNX file",
        )
    if kind is Kind.ONNX:
        raise CheckpointError(
            "this is an ONNX file already, and no checkpoint",
            legal=_LEGAL,
            next_step="give the checkpoint that it was made from; for this file there are"
            " legoexport verify CHECKPOINT MODEL, bench MODEL, inspect MODEL and doctor MODEL",
        )

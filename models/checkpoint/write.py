"""Write legoexport's own checkpoints: the weights, and which network they belong to."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint.files import METADATA_KEY, SAFETENSORS_SUFFIX
from legoexport.models.checkpoint.layout import FORMAT, VERSION


def write_checkpoint(
    path: Path | str,
    module: nn.Module,
    *,
    arch: str,
    hyperparameters: Mapping[str, object],
    training: Mapping[str, object] | None = None,
) -> None:
    """Write a checkpoint that `read_checkpoint` reads without further arguments.

    Args:
        path: The file, written whole or not at all. If it ends in ``.safetensors`` it has that
            format; otherwise ``torch.load(path, weights_only=True)`` reads it too.
        module: The network.
        arch: Registry name, or ``package.module:factory``.
        hyperparameters: Arguments that build the network again: text, numbers and lists of them.
        training: How it was trained, such as the accuracy reached. It is kept, not interpreted,
            but for ``mean`` and ``std``: lists of a number per channel in grey levels (0 to 255),
            by which the pictures were normalised.

    Raises:
        CheckpointError: The facts are not plain values, or the file cannot be written.
    """
    path = Path(path)
    facts: dict[str, object] = {
        "format": FORMAT,
        "version": VERSION,
        "arch": arch,
        "hyperparameters": dict(hyperparameters),
        "training": dict(training or {}),
    }
    state = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in module.state_dict().items()
    }
    as_safetensors = path.suffix == SAFETENSORS_SUFFIX
    try:
        text = json.dumps(facts)
        data = _safetensors(text, state) if as_safetensors else _torch(json.loads(text), state)
        _write_whole(path, data)
    except (OSError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be written", received=repr(error)) from error


def _safetensors(facts: str, state: dict[str, torch.Tensor]) -> bytes:
    return save_safetensors(state, metadata={METADATA_KEY: facts})


def _torch(facts: dict[str, object], state: dict[str, torch.Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save({**facts, "state_dict": state}, buffer)
    return buffer.getvalue()


def _write_whole(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

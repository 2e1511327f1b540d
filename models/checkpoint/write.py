"""Write legoexport's own checkpoints: the weights, and which network they belong to."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from legoexport.errors import CheckpointError
from legoexport.host import atomic
from legoexport.models.checkpoint.files import SAFETENSORS_SUFFIX
from legoexport.models.checkpoint.layout import FORMAT, VERSION
from legoexport.models.checkpoint.safetensors_container import METADATA_KEY


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
            except ``mean`` and ``std``: lists of a number per channel in grey levels (0 to 255),
            by which the pictures were normalised; and ``class_names``: the names in the order of
            the labels.

    Raises:
        CheckpointError: The facts are not plain values.
        UsageError: The file cannot be written.
    """
    path = Path(path)
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "arch": arch,
        "hyperparameters": dict(hyperparameters),
        "training": dict(training or {}),
    }
    text = _json(path, facts)
    state = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in module.state_dict().items()
    }
    with atomic.writing(path) as temporary:
        if path.suffix == SAFETENSORS_SUFFIX:
            temporary.write_bytes(save_safetensors(state, metadata={METADATA_KEY: text}))
        else:
            temporary.write_bytes(_torch_bytes({**json.loads(text), "state_dict": state}))


def _json(path: Path, facts: Mapping[str, object]) -> str:
    try:
        return json.dumps(facts)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be written: not all that is to be said of the network is plain",
            received=error,
            legal="text, numbers, and lists and dictionaries of them",
        ) from None


def _torch_bytes(value: object) -> memoryview:
    """Return what torch saves.

    Into a file by name, torch would write the name, and equal checkpoints would differ. Into an
    open file, it would tell of a full disk as a fault of its own.
    """
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getbuffer()

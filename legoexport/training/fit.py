"""Fill in what a request leaves open, from the machine and the pictures."""

from __future__ import annotations

import hashlib

import torch

from legoexport.errors import UsageError
from legoexport.models.registry import complete
from legoexport.training.data.images import ImageData
from legoexport.training.ranks import Ranks
from legoexport.training.recipe import Recipe
from legoexport.training.request import TrainingRequest


def choose_device(name: str | None, ranks: Ranks) -> torch.device:
    """Return the device by name; each process gets its own.

    Raises:
        UsageError: There is no such device here.
    """
    chosen = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(chosen)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", ranks.local_rank)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        message = str(error).splitlines()[0]
        raise UsageError(
            f"device {chosen} cannot be used", received=message, legal="cpu, cuda"
        ) from None
    return device


def fit_hyperparameters(request: TrainingRequest, data: ImageData) -> dict[str, object]:
    """Return the network's hyper-parameters; classes and input size follow the data unless given.

    Raises:
        UsageError: They contradict the data, or the network does not know them.
    """
    height, width = data.input_shape[1:]
    if height != width:
        raise UsageError(
            "pictures must be square", received=f"{height}x{width}", next_step="--image-size N"
        )
    fitting = {"classes": data.class_count, "input_size": height}
    for name, value in fitting.items():
        given = request.hyperparameters.get(name, value)
        if given != value:
            raise UsageError(f"{name} contradicts the pictures", received=given, legal=value)
    return complete(request.arch, {**fitting, **request.hyperparameters})


def hold_batches(data: ImageData, recipe: Recipe, ranks: Ranks) -> None:
    """Check that every batch, also the last of an epoch, has a picture for each process.

    Raises:
        UsageError: A batch has too few.
    """
    count = len(data.train_labels)
    fewest = min(recipe.batch_size, count % recipe.batch_size or recipe.batch_size)
    if fewest < ranks.count:
        raise UsageError(
            "the smallest batch of an epoch has fewer pictures than there are processes",
            received=f"{fewest} pictures, {ranks.count} processes",
            next_step="choose another --recipe batch_size=N",
        )


def fingerprint(data: ImageData) -> str:
    """Return the SHA-256 of the training pictures and their labels."""
    digest = hashlib.sha256(repr(tuple(data.train_images.shape)).encode())
    for tensor in (data.train_images, data.train_labels):
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()

"""Files from pixels on: a network, a checkpoint with pictures beside it, and what they predict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from runtime_tests.command_line import legoexport
from runtime_tests.networks import randomize, small_net

SIZE = (12, 10)
HOW = Normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
NETWORK = small_net().eval()
EXAMPLE = torch.zeros(1, 3, *SIZE)
# Scores through five layers of float32 sums, of the range of the outputs.
TOLERANCE = 1e-5


def pixels(count: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, *shape)).astype(np.uint8)


def expected(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Scores of ``(N, *SIZE, 3)`` in float64, from the definition of the normalization."""
    normalised = (images / 255 - HOW.mean) / HOW.std
    module = small_net().eval().double()
    with torch.no_grad():
        scores = module(torch.from_numpy(np.moveaxis(normalised, 3, 1)))
    return np.asarray(scores)


def write_digits(folder: Path, size: tuple[int, int]) -> None:
    """Write ``d.pt``, which says how training normalised, and ``pictures`` of a size."""
    torch.manual_seed(0)
    network = randomize(build("lego_digits"))
    training = {"mean": [78.1], "std": [96.3], "class_names": list("abcdefghij")}
    write_checkpoint(
        folder / "d.pt", network, arch="lego_digits", hyperparameters={}, training=training
    )
    (folder / "pictures").mkdir()
    for index, image in enumerate(pixels(6, size)):
        Image.fromarray(image).save(folder / "pictures" / f"{index}.png")


def predict_alike(
    models: Sequence[Path], pictures: Sequence[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Hold both models to the same probabilities."""
    found = []
    for model in models:
        assert legoexport("predict", model, *pictures, "--top", "10", "--json") == 0
        found.append(json.loads(capsys.readouterr().out)["pictures"])
    for one, other in zip(*found, strict=True):
        ours, theirs = (
            {guess["name"]: guess["probability"] for guess in each["classes"]}
            for each in (one, other)
        )
        assert ours == pytest.approx(theirs, abs=1e-5)  # float32 through a softmax

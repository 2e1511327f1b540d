"""Training that begins with the weights of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from legoexport.errors import UsageError
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from legoexport.training.recipe import Recipe
from legoexport.training.request import TrainingRequest
from legoexport.training.run import carry_out
from legoexport.training.start import find_start

SETTINGS = {"o": 4, "m_ratio": 0.125}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    path = tmp_path / "start.pt"
    write_checkpoint(
        path, build("lego_digits", **SETTINGS), arch="lego_digits", hyperparameters=SETTINGS
    )
    return path


def request(start: Path | None, **changes: object) -> TrainingRequest:
    values: dict[str, object] = {"arch": "lego_digits", "source": "digits", "out": Path("out.pt")}
    return TrainingRequest(recipe=Recipe(), start=start, **values | changes)  # type: ignore[arg-type]


def test_the_network_is_built_and_filled_as_the_checkpoint_says(checkpoint: Path) -> None:
    start, completed = find_start(request(checkpoint))
    module = build("lego_digits", **completed.hyperparameters)
    start.load(module)
    expected = read_checkpoint(checkpoint)
    weights = expected.module.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in module.state_dict().items())
    assert start.sha256 == expected.sha256


def test_without_a_start_nothing_changes() -> None:
    asked = request(None)
    start, completed = find_start(asked)
    module = build("lego_digits", **SETTINGS)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    start.load(module)
    assert completed is asked
    assert start.sha256 is None
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_settings_that_agree_may_be_repeated(checkpoint: Path) -> None:
    _, completed = find_start(request(checkpoint, hyperparameters={"o": 4, "classes": 10}))
    assert completed.hyperparameters == {**SETTINGS, "classes": 10}


@pytest.mark.parametrize(
    "changes", [{"hyperparameters": {"o": 2}}, {"arch": "lego_vgg16"}, {"arch": "digits"}]
)
def test_another_network_is_refused(checkpoint: Path, changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"start\.pt"):
        find_start(request(checkpoint, **changes))


def test_a_training_starts_there(checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    """A step of no size to speak of leaves the weights where they began."""
    out = tmp_path / "trained.pt"
    recipe = Recipe(epochs=1, learning_rate=1e-9)
    asked = TrainingRequest(
        "lego_digits", str(pictures), out, recipe, seed=5, start=checkpoint, threads=1
    )
    carry_out(asked)
    before, after = (read_checkpoint(path).module.state_dict() for path in (checkpoint, out))
    for name in before:
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(after[name], before[name], rtol=1e-5, atol=1e-6)
    assert not torch.equal(before["features.1.running_mean"], after["features.1.running_mean"])

"""A teacher is heard by the formula, is never changed, and is part of what a training is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from legoexport.training.objective import loss_sum
from legoexport.training.precision import EXACT
from legoexport.training.recipe import Recipe
from legoexport.training.request import TrainingRequest
from legoexport.training.run import carry_out
from legoexport.training.session import Session, Setting
from legoexport.training.teacher import Teacher, find_teacher
from runtime_tests.training.tiny import RECIPE, tiny_data, tiny_net

# Both sides are float64: sums of some dozens of terms of size 10.
ROUNDING = 1e-9


def log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = scores - scores.max(1, keepdims=True)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return found


@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 5),
    weight=st.floats(0, 1),
    temperature=st.floats(0.5, 8),
    smoothing=st.floats(0, 0.5),
)
def test_the_loss_is_the_formula(
    seed: int, count: int, weight: float, temperature: float, smoothing: float
) -> None:
    generator = np.random.default_rng(seed)
    ours, theirs = generator.normal(0, 3, (2, count, 4))
    labels = generator.integers(0, 4, count)
    target = np.full((count, 4), smoothing / 4)
    target[np.arange(count), labels] += 1 - smoothing
    labelled = -(target * log_softmax(ours)).sum()
    t, s = (log_softmax(each / temperature) for each in (theirs, ours))
    expected = (1 - weight) * labelled + weight * temperature**2 * (np.exp(t) * (t - s)).sum()
    recipe = Recipe(label_smoothing=smoothing, teacher_weight=weight, temperature=temperature)
    scores, taught = torch.from_numpy(ours), torch.from_numpy(theirs)
    found = loss_sum(scores, torch.from_numpy(labels), recipe, taught)
    assert float(found) == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)
    alone = loss_sum(scores, torch.from_numpy(labels), recipe, None)
    assert float(alone) == pytest.approx(labelled, rel=ROUNDING, abs=ROUNDING)


def test_a_network_that_learns_from_itself_alone_stands_still_in_the_scores() -> None:
    """Its own scores have no divergence, and so no gradient."""
    scores = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    recipe = Recipe(teacher_weight=1.0)
    loss_sum(scores, torch.arange(3), recipe, scores.detach()).backward()
    assert scores.grad is not None
    assert scores.grad.abs().max() < ROUNDING


def test_the_teacher_is_heard_and_never_changed() -> None:
    teacher = tiny_net()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    weights = []
    for taught in (Teacher(teacher, EXACT, "digest"), None):
        session = Session(tiny_net(), Setting(tiny_data(), RECIPE, teacher=taught))
        session.enter_epoch()
        for _ in range(2):
            session.step()
        weights.append(session.module.state_dict()["classifier.weight"])
    assert not torch.equal(*weights)
    assert all(torch.equal(before[name], each) for name, each in teacher.state_dict().items())
    assert not teacher.training


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "dense.pt"
    write_checkpoint(path, build("digits"), arch="digits", hyperparameters={})
    return path


def request(pictures: Path, out: Path, teacher: Path | None, **changes: object) -> TrainingRequest:
    recipe = Recipe(epochs=2, batch_size=64, max_shift_pixels=1, learning_rate=0.01)
    asked = TrainingRequest("lego_digits", str(pictures), out, recipe, threads=1, teacher=teacher)
    return replace(asked, **changes)  # type: ignore[arg-type]


def test_a_checkpoint_says_who_taught_it(dense: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pt"
    carry_out(request(pictures, out, dense))
    recorded = torch.load(out, weights_only=True)["training"]
    assert recorded["teacher_sha256"] == read_checkpoint(dense, dense=True).sha256


def test_a_teacher_of_other_pictures_is_refused(dense: Path) -> None:
    with pytest.raises(UsageError, match=r"dense\.pt: the teacher takes other pictures"):
        find_teacher(dense, tiny_data(), EXACT)


def test_a_teacher_of_another_mean_is_refused(pictures: Path, tmp_path: Path) -> None:
    from legoexport.training.data.source import load  # noqa: PLC0415 - for this test only

    data = load(str(pictures), channels=1, size=None).data
    path = tmp_path / "dense.pt"
    own = {"mean": list(data.mean), "std": list(data.std)}
    write_checkpoint(path, build("digits"), arch="digits", hyperparameters={}, training=own)
    assert find_teacher(path, data, EXACT) is not None
    other = {**own, "mean": [data.mean[0] + 1]}
    write_checkpoint(path, build("digits"), arch="digits", hyperparameters={}, training=other)
    with pytest.raises(UsageError, match="another mean and deviation"):
        find_teacher(path, data, EXACT)

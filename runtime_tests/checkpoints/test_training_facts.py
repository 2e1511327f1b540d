"""What a training recorded about its pictures is read back, and nothing is made up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint.training_facts import (
    normalization_facts,
    recorded_class_names,
    recorded_normalization,
)

channels = st.tuples(st.floats(0, 1), st.floats(0.01, 1))


@given(channels=st.lists(channels, min_size=1, max_size=4))
def test_what_is_recorded_is_read_back(channels: list[tuple[float, float]]) -> None:
    mean, std = zip(*channels, strict=True)
    read = recorded_normalization(normalization_facts(Normalization(mean, std)))
    assert read is not None
    # Scaled to grey levels and back: two roundings.
    assert read.mean == pytest.approx(mean, rel=1e-15)
    assert read.std == pytest.approx(std, rel=1e-15)


def test_grey_levels_become_colours() -> None:
    read = recorded_normalization({"mean": [0, 51.0, 255], "std": [25.5, 51, 255.0]})
    assert read == Normalization((0.0, 0.2, 1.0), (0.1, 0.2, 1.0))


@pytest.mark.parametrize(
    "training",
    [
        None,
        "text",
        {},
        {"mean": [1.0]},
        {"mean": [0.0, 0.0], "std": [1.0, 1.0]},  # normalised already, nobody knows by what
        {"mean": [1.0], "std": [0.0]},
        {"mean": [1.0], "std": [1.0, 1.0]},
        {"mean": ["1"], "std": [1.0]},
        {"mean": [True], "std": [1.0]},
        {"mean": [math.nan], "std": [1.0]},
        {"mean": [10**400], "std": [1.0]},
        {"mean": {"r": 1.0}, "std": [1.0]},
    ],
)
def test_anything_else_is_not_known(training: object) -> None:
    assert recorded_normalization(training) is None


def test_nothing_known_is_nothing_recorded() -> None:
    assert normalization_facts(None) == {}


def test_names_of_classes_are_read_if_all_of_them_can_be_shown() -> None:
    names = ["cat", "\u00e9cureuil"]
    assert recorded_class_names({"class_names": names}) == tuple(names)


@pytest.mark.parametrize(
    "names", [None, "cat", ["cat", 1], ["cat", ""], ["\x1b[31mred"], ["a\nb"], ["x" * 201], [[]]]
)
def test_other_names_are_not_known(names: object) -> None:
    assert recorded_class_names({"class_names": names}) == ()
    assert recorded_class_names(names) == ()

"""Plans: round trip, and every way in which one can fail to fit."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.errors import UsageError
from legoexport.passes.lowerings import LOWERINGS, Site, Sums
from legoexport.passes.plan import Plan
from legoexport.passes.preference import preferred_plan
from legoexport.target import CPU
from runtime_tests.layers import random_frozen

SITES = [Site(f"features.{i}", random_frozen(np.random.default_rng(i)), (8, 8)) for i in (3, 6)]


@given(
    st.dictionaries(st.text(min_size=1), st.sampled_from(list(LOWERINGS))),
    st.sampled_from(get_args(Sums)),
    st.none() | st.floats(0, allow_nan=False, allow_infinity=False),
)
def test_round_trip(lowerings: dict[str, str], sums: Sums, max_drop_points: float | None) -> None:
    plan = Plan(lowerings, sums, max_drop_points=max_drop_points)
    assert Plan.from_json(plan.to_json(), source="memory") == plan


def test_the_preferred_plan_fits() -> None:
    preferred_plan(SITES, CPU).check(SITES, CPU)


@pytest.mark.parametrize(
    ("lowerings", "named"),
    [
        ({"features.3": "grouped"}, "features.6"),
        (dict.fromkeys(["features.3", "features.6", "fc"], "grouped"), "fc"),
        ({"features.3": "grouped", "features.6": "fast"}, "fast"),
    ],
    ids=["missing layer", "unknown layer", "unknown lowering"],
)
def test_a_plan_that_does_not_fit_says_why(lowerings: dict[str, str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Plan(lowerings).check(SITES, CPU)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 1}', '{"version": 1, "lowerings": []}', "null", "1"],
)
def test_text_that_is_no_plan(text: str) -> None:
    with pytest.raises(UsageError, match=r"plan\.json is not a plan"):
        Plan.from_json(text, source="plan.json")


def test_a_plan_from_before_there_was_a_choice_sums_by_blocks() -> None:
    text = json.dumps({"version": 1, "lowerings": {"fc": "grouped"}}, indent=2)
    plan = Plan.from_json(text, source="plan.json")
    assert plan == Plan({"fc": "grouped"}, "by blocks")
    assert plan.to_json() == text


@pytest.mark.parametrize("limit", ["-1", "NaN", "Infinity", '"0.5"', "true", "[]"])
def test_a_limit_is_a_number_of_points(limit: str) -> None:
    text = f'{{"version": 1, "lowerings": {{}}, "max_drop_points": {limit}}}'
    with pytest.raises(UsageError, match=r"plan\.json: max_drop_points(.|\n)*from 0 on"):
        Plan.from_json(text, source="plan.json")


def test_unknown_sums_are_refused() -> None:
    text = json.dumps({"version": 1, "sums": "by rows", "lowerings": {}})
    with pytest.raises(UsageError, match=r"plan\.json(.|\n)*by rows(.|\n)*by blocks, by output"):
        Plan.from_json(text, source="plan.json")


def test_another_version_is_refused() -> None:
    text = json.dumps({"version": 2, "lowerings": {}})
    with pytest.raises(UsageError, match="version"):
        Plan.from_json(text, source="plan.json")

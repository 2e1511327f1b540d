"""The page's verdict on the likeliest classes, run by Node, against that of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from legoexport.parity.golden import GoldenOutput, GoldenSet, IntegerRule, judge_golden
from runtime_tests.web.scripts import script

LIMIT = 1e-3
IMAGES, CLASSES, TOP = 4, 6, 3
IMAGES_ARRAY = np.zeros((IMAGES, 1), np.float32)
Outputs = tuple[np.ndarray, np.ndarray]


def likeliest(shares: np.ndarray) -> Outputs:
    order = np.argsort(-shares, 1, kind="stable")[:, :TOP]
    return np.take_along_axis(shares, order, 1), order


def case(seed: int) -> tuple[GoldenSet, Outputs]:
    """Shares with ties within and beyond the limit, and a model that errs on both sides of it.

    Some classes are swapped, repeated, moved in from below the largest, or are no class at all.
    """
    rng = np.random.default_rng(seed)
    shares = rng.choice([0.1, 0.1 + 0.4 * LIMIT, 0.1 + 3 * LIMIT, 0.3], (IMAGES, CLASSES))
    noise = rng.choice([0.2, 0.6, 1.3], p=[0.6, 0.35, 0.05]) * LIMIT
    golden_shares, golden_order = likeliest(shares.astype(np.float32))
    actual_shares, order = likeliest(
        (shares + noise * rng.uniform(-1, 1, shares.shape)).astype(np.float32)
    )
    if rng.random() < 0.3:
        wrong = rng.choice([-1, CLASSES, *range(CLASSES)])
        order[rng.integers(IMAGES), rng.integers(TOP)] = wrong
    float32_order = golden_order.copy()
    if rng.random() < 0.3:
        float32_order[rng.integers(IMAGES)] = order[rng.integers(IMAGES)]
    counted = IntegerRule(same=0.4 * LIMIT, moved_allowed_count=2) if seed % 2 else None
    scores = GoldenOutput("probabilities", golden_shares, limit=LIMIT, integers=counted)
    indices = GoldenOutput(
        "indices",
        golden_order,
        float32_order,
        scores="probabilities",
        axis=1,
        among=shares.astype(np.float32),
    )
    return GoldenSet("set", IMAGES, (IMAGES_ARRAY,), (scores, indices)), (actual_shares, order)


def judged(node: str, cases: Sequence[tuple[GoldenSet, Outputs]]) -> list[dict[str, Any]]:
    body = """
    const { judgeTop } = await from("judge.js");
    const floats = (one) => Float32Array.from(one);
    const integers = (one) => Int32Array.from(one);
    const verdicts = values.map((one) => judgeTop(
      {
        scores: floats(one.scores),
        indices: integers(one.indices),
        float32Indices: integers(one.float32Indices),
        among: floats(one.among),
      },
      { scores: floats(one.found[0]), indices: integers(one.found[1]) },
      one.top,
      one.limit,
      one.integers,
    ));
    console.log(JSON.stringify(verdicts));
    """
    values = []
    for golden, found in cases:
        scores, indices = golden.outputs
        arrays = {
            "scores": scores.values,
            "indices": indices.values,
            "float32Indices": indices.float32_values,
            "among": indices.among,
        }
        flat = {name: np.asarray(one).ravel().tolist() for name, one in arrays.items()}
        given = [one.ravel().tolist() for one in found]
        rule = scores.integers and asdict(scores.integers)
        values.append({**flat, "found": given, "top": TOP, "limit": LIMIT, "integers": rule})
    verdicts: list[dict[str, Any]] = script(node, body, values)
    return verdicts


def test_the_verdict_on_classes_is_that_of_the_command_line(node: str) -> None:
    cases = [case(seed) for seed in range(400)]
    found = judged(node, cases)
    tied, too_many = 0, 0
    for (golden, actual), one in zip(cases, found, strict=True):
        expected = judge_golden([golden], [actual])
        scores, indices = expected["set, probabilities"], expected["set, indices"]
        assert one["excess"] == scores.moved_excess_count
        assert (one["moved"] or 0) == scores.moved_count
        too_many += scores.max_abs_error <= LIMIT and one["excess"] > 0
        assert one["passed"] is all(each.passed for each in expected.values())
        assert one["ranks"]["wrong"] == indices.top1_errors_count
        equal = actual[1] == golden.outputs[1].values
        assert one["ranks"]["same"] == equal.sum()
        assert one["top1"] == equal[:, 0].sum()
        tied += one["passed"] and one["ranks"]["tied"] > 0
    assert {one["passed"] for one in found} == {True, False}
    assert tied > 10, "swaps within a tie pass"
    assert too_many > 10, "images moved within the limit are counted"


def test_missing_classes_fail(node: str) -> None:
    golden, (shares, order) = case(0)
    (found,) = judged(node, [(golden, (shares, order[:1]))])
    assert found["passed"] is False


@pytest.mark.parametrize("values", [[2.0, 3.0, 1.0], [0.1, 0.7, 0.2]])
def test_all_classes_and_those_given_are_shown_alike(node: str, values: list[float]) -> None:
    body = """
    const { likeliest } = await from("answer.js");
    const shares = Float32Array.from(values.shares);
    const order = Int32Array.from(values.order);
    console.log(JSON.stringify([
      likeliest({ scores: Float32Array.from(values.scores) }, values.gives),
      likeliest({ scores: shares, indices: order }, true),
    ]));
    """
    gives = sum(values) == pytest.approx(1)
    powers = np.exp(values) / np.exp(values).sum()
    shares = np.array(values if gives else powers, np.float32)
    order = np.argsort(-shares)
    sent = {"scores": values, "gives": gives, "shares": shares[order].tolist()}
    every, given = script(node, body, {**sent, "order": order.tolist()})
    assert [one["index"] for one in every] == [one["index"] for one in given] == order.tolist()
    found = [one["share"] for one in every]
    np.testing.assert_allclose(found, [one["share"] for one in given], rtol=1e-6)

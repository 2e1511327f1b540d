"""The page's arithmetic, run by Node, against hashlib, numpy and the judge of the command line."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from legoexport.parity.judge import measure
from runtime_tests.web.scripts import script

LIMIT = 1e-3


def test_sha256_is_that_of_hashlib(node: str) -> None:
    sizes = [0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000, 100_003]
    contents = [np.random.default_rng(size).bytes(size) for size in sizes]
    body = """
    const { sha256 } = await from("sha256.js");
    const digests = values.map((text) => sha256(new Uint8Array(Buffer.from(text, "hex"))));
    console.log(JSON.stringify(digests));
    """
    found = script(node, body, [content.hex() for content in contents])
    assert found == [hashlib.sha256(content).hexdigest() for content in contents]


def judged(node: str, cases: list[tuple[np.ndarray, np.ndarray]]) -> list[dict[str, Any]]:
    """Verdicts of the page; NaN and infinity travel as text."""
    body = """
    const { judge } = await from("judge.js");
    const verdicts = values.map(({ golden, actual, classes, limit }) => {
      const [truth, found] = [golden, actual].map((one) => Float32Array.from(one, Number));
      const one = judge(truth, found, classes, limit);
      return { ...one, error: String(one.error) };
    });
    console.log(JSON.stringify(verdicts));
    """
    values = [
        {
            "golden": [str(v) for v in golden.ravel()],
            "actual": [str(v).replace("inf", "Infinity") for v in actual.ravel()],
            "classes": golden.shape[1],
            "limit": LIMIT,
        }
        for golden, actual in cases
    ]
    found: list[dict[str, Any]] = script(node, body, values)
    return found


def disturbed(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties within, at and beyond the limit, and errors on both sides of it."""
    rng = np.random.default_rng(seed)
    golden = rng.standard_normal((6, 4)).astype(np.float32)
    rows = np.arange(6)
    order = np.argsort(golden, 1)
    gap = rng.choice([0, 0.3 * LIMIT, 0.9 * LIMIT, 3 * LIMIT], 6).astype(np.float32)
    golden[rows, order[:, -2]] = golden[rows, order[:, -1]] - gap
    size = rng.choice([0.1, 0.6, 0.99, 1.3]) * LIMIT
    actual = golden + (size * rng.uniform(-1, 1, golden.shape)).astype(np.float32)
    return golden, actual


def test_the_verdict_is_that_of_the_command_line(node: str) -> None:
    cases = [disturbed(seed) for seed in range(300)]
    expected = [measure(g, a, limit=LIMIT, reference_max_abs_error=0.0) for g, a in cases]
    found = judged(node, cases)
    assert {one.passed for one in expected} == {True, False}
    assert [one["passed"] for one in found] == [one.passed for one in expected]
    assert [one["top1"] for one in found] == [one.top1_agreement_count for one in expected]
    # numpy subtracts in float32, the page in float64: half a unit in the last place of the scores.
    errors = [float(one["error"]) for one in found]
    np.testing.assert_allclose(errors, [one.max_abs_error for one in expected], atol=5e-7, rtol=0)


def test_a_wrong_decision_fails_though_every_error_is_small(node: str) -> None:
    golden = np.array([[0.0, 1.5 * LIMIT]], np.float32)
    swapped = np.array([[0.8 * LIMIT, 0.7 * LIMIT]], np.float32)
    (found,) = judged(node, [(golden, swapped)])
    assert float(found["error"]) < LIMIT
    assert found["top1"] == 0
    assert found["passed"] is False


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_fails(node: str, value: float) -> None:
    golden = np.ones((3, 2), np.float32)
    actual = golden.copy()
    actual[1, 1] = value
    (found,) = judged(node, [(golden, actual)])
    assert found["passed"] is False


def test_missing_outputs_and_missing_limits_fail(node: str) -> None:
    body = """
    const { judge } = await from("judge.js");
    const { conclude } = await from("verdict.js");
    const golden = new Float32Array(6);
    const verdicts = [
      judge(golden, new Float32Array(4), 2, 1), judge(golden, golden, 2, NaN),
      judge(golden, golden, 2, undefined), judge(new Float32Array(0), new Float32Array(0), 2, 1),
    ];
    console.log(JSON.stringify([
      ...verdicts.map((one) => one.passed), judge(golden, golden, 2, 1).passed,
      conclude("x", []).state, conclude("x", null).state, conclude("x", [{}]).state,
    ]));
    """
    found = script(node, body, None)
    assert found == [False, False, False, False, True, "bad", "none", "bad"]


def test_percentiles_are_those_of_numpy(node: str) -> None:
    times = np.random.default_rng(3).exponential(size=37)
    body = """
    const { summarize } = await from("statistics.js");
    console.log(JSON.stringify(summarize(values)));
    """
    found = script(node, body, times.tolist())
    assert found["runs"] == 37
    np.testing.assert_allclose(found["median"], np.median(times))
    np.testing.assert_allclose(found["p90"], np.percentile(times, 90))


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (13, 11), (5, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_averaged_over_areas(node: str, size: tuple[int, int], channels: int) -> None:
    height, width = size
    colours = np.random.default_rng(4).integers(0, 256, (height, width, 4))
    body = """
    const { toPlanes, normalize } = await from("picture.js");
    const image = { data: values.data, height: values.height, width: values.width };
    const planes = toPlanes(image, [values.channels, 8, 8]);
    const pixels = { mean: values.mean, std: values.std };
    console.log(JSON.stringify(Array.from(normalize(planes, pixels))));
    """
    mean, std = [0.1, 0.2, 0.3][:channels], [0.5, 2.0, 3.0][:channels]
    values = {"data": colours.ravel().tolist(), "height": height, "width": width}
    values |= {"channels": channels, "mean": mean, "std": std}
    found = np.reshape(script(node, body, values), (channels, 8, 8))
    # Repeat every pixel 8 times each way, then average blocks as large as the picture.
    fine = (colours[..., :3] / 255).repeat(8, 0).repeat(8, 1)
    blocks = fine.reshape(8, height, 8, width, 3).mean((1, 3)).transpose(2, 0, 1)
    if channels == 1:
        blocks = np.tensordot([[0.299, 0.587, 0.114]], blocks, 1)
    expected = (blocks - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    np.testing.assert_allclose(found, expected, atol=1e-6)

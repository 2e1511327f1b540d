"""Banks fitted to vectors: each step is an optimum, held against brute force and least squares."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from legoexport.models.fitting.cluster import (
    Assignment,
    FitOptions,
    assign,
    best_filters,
    cluster,
    seed_filters,
)

Array = NDArray[np.float64]
# float64 sums of fewer than a hundred terms of order 1, in another order: 1e-12 is thousands of
# roundings, and a wrong index or coefficient shows as 1e-2.
ROUNDING = 1e-12

SCALED = pytest.mark.parametrize("scaled", [True, False])
sizes = st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(1, 5))
seeds = st.integers(0, 2**32 - 1)


def draw(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def least(vector: Array, filter_: Array, *, scaled: bool) -> tuple[float, float]:
    """Coefficient and squared distance of one vector from one filter, by numpy's least squares."""
    coefficient = 1.0
    if scaled:
        coefficient = float(np.linalg.lstsq(filter_[:, None], vector, rcond=None)[0][0])
    return coefficient, float(((vector - coefficient * filter_) ** 2).sum())


@SCALED
@given(sizes, seeds)
@settings(max_examples=40, deadline=None)
def test_index_and_coefficient_are_the_best_there_are(
    scaled: bool, size: tuple[int, int, int], seed: int
) -> None:
    count, m, d = size
    vectors, filters = draw(seed, count, d), draw(seed + 1, m, d)
    found = assign(torch.tensor(vectors), torch.tensor(filters), scaled=scaled)
    for row, vector in enumerate(vectors):
        options = [least(vector, each, scaled=scaled) for each in filters]
        best = min(distance for _, distance in options)
        scale = max(1.0, float((vector**2).sum()))
        assert abs(float(found.residual[row]) - best) <= ROUNDING * scale
        coefficient, distance = options[int(found.index[row])]
        assert distance - best <= ROUNDING * scale
        assert abs(float(found.coefficient[row]) - coefficient) <= ROUNDING * max(
            1.0, abs(coefficient)
        )


@SCALED
def test_no_other_tables_are_better_for_a_bank(scaled: bool) -> None:
    """Every table of choices, by brute force, each with its own best coefficients."""
    for seed in range(20):
        vectors, filters = draw(seed, 4, 3), draw(seed + 100, 3, 3)
        found = assign(torch.tensor(vectors), torch.tensor(filters), scaled=scaled)
        errors = [
            sum(
                least(vector, filters[j], scaled=scaled)[1]
                for vector, j in zip(vectors, choice, strict=True)
            )
            for choice in itertools.product(range(3), repeat=4)
        ]
        assert float(found.residual.sum()) == pytest.approx(min(errors), rel=ROUNDING)


@given(sizes, seeds)
@settings(max_examples=40, deadline=None)
def test_the_bank_is_the_least_squares_solution(size: tuple[int, int, int], seed: int) -> None:
    count, m, d = size
    rng = np.random.default_rng(seed)
    vectors, index = rng.standard_normal((count, d)), rng.integers(0, m, count)
    coefficient = rng.standard_normal(count)
    design = np.zeros((count, m))
    design[np.arange(count), index] = coefficient
    expected = np.linalg.lstsq(design, vectors, rcond=None)[0]
    assignment = Assignment(
        torch.tensor(index), torch.tensor(coefficient), torch.ones(count, dtype=torch.float64)
    )
    actual = best_filters(
        torch.tensor(vectors), assignment, torch.zeros(m, d, dtype=torch.float64)
    ).numpy()
    used = np.unique(index)
    # A filter of one vector with a tiny coefficient is that vector times its large inverse.
    np.testing.assert_allclose(actual[used], expected[used], rtol=1e-9, atol=1e-9)


@SCALED
@given(sizes, seeds)
@settings(max_examples=60, deadline=None)
def test_no_step_ever_raises_the_error(scaled: bool, size: tuple[int, int, int], seed: int) -> None:
    """Whatever the bank at the start, filters that nothing chooses included."""
    count, m, d = size
    vectors = torch.tensor(draw(seed, count, d))
    filters = torch.tensor(draw(seed + 1, m, d)) * torch.tensor([1.0, 1e6, 0, 1])[:m, None]
    limit = float("inf")
    slack = ROUNDING * float(vectors.square().sum())
    for _ in range(6):
        assignment = assign(vectors, filters, scaled=scaled)
        error = float(assignment.residual.sum())
        assert error <= limit + slack
        filters = best_filters(vectors, assignment, filters)
        chosen = assignment.coefficient[:, None] * filters[assignment.index]
        limit = float((vectors - chosen).square().sum())
        assert limit <= error + slack


def optimum(vectors: Array, m: int, *, scaled: bool) -> float:
    """The least error of all ways to share the vectors out among m filters, by brute force."""
    errors = []
    for choice in itertools.product(range(m), repeat=len(vectors)):
        parts = [vectors[np.array(choice) == j] for j in range(m)]
        errors.append(sum(_left(part, scaled=scaled) for part in parts if len(part)))
    return min(errors)


def _left(part: Array, *, scaled: bool) -> float:
    if scaled:  # Eckart and Young: what the first singular vector leaves
        return float((np.linalg.svd(part, compute_uv=False)[1:] ** 2).sum())
    return float(((part - part.mean(0)) ** 2).sum())


@SCALED
def test_tiny_problems_are_solved_to_the_optimum(scaled: bool) -> None:
    # The descent stops at a gain of 1e-12 and converges linearly: 1e-5 is far above what is left,
    # and the next best way to share the vectors out is worse by 1e-2.
    options = FitOptions(restarts_count=30, most_iterations=2000, least_gain_ratio=1e-12)
    for seed in range(6):
        vectors = draw(seed, 6, 3)
        found = cluster(torch.tensor(vectors), 2, scaled=scaled, options=options)
        best = optimum(vectors, 2, scaled=scaled)
        assert best - ROUNDING <= found.squared_errors[-1] <= best * (1 + 1e-5)


@SCALED
@given(sizes, seeds)
@settings(max_examples=40, deadline=None)
def test_what_is_reported_is_what_is_returned(
    scaled: bool, size: tuple[int, int, int], seed: int
) -> None:
    count, m, d = size
    vectors = torch.tensor(draw(seed, count, d))
    found = cluster(vectors, m, scaled=scaled, options=FitOptions())
    assignment = found.assignment
    described = assignment.coefficient[:, None] * found.filters[assignment.index]
    error = float((vectors - described).square().sum())
    scale = float(vectors.square().sum())
    assert abs(found.squared_errors[-1] - error) <= ROUNDING * scale
    assert all(b < a for a, b in itertools.pairwise(found.squared_errors))
    if m >= count:
        assert error <= ROUNDING * scale


@SCALED
@given(st.integers(1, 5), st.integers(0, 12), seeds)
@settings(max_examples=40, deadline=None)
def test_seeding_draws_one_vector_of_every_group(
    scaled: bool, groups_count: int, more_count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    group = np.concatenate([np.arange(groups_count), rng.integers(0, groups_count, more_count)])
    directions = rng.standard_normal((groups_count, 6))
    scale = rng.uniform(0.5, 2, len(group)) * rng.choice([-1, 1], len(group)) if scaled else 1.0
    vectors = torch.tensor(directions[group] * np.reshape(scale, (-1, 1)))
    generator = torch.Generator().manual_seed(seed)
    drawn = seed_filters(vectors, groups_count, generator, scaled=scaled)
    cosine = torch.nn.functional.cosine_similarity(
        drawn[:, None], torch.tensor(directions)[None], dim=2
    )
    assert sorted(cosine.abs().argmax(1).tolist()) == list(range(groups_count))


@SCALED
def test_zero_vectors_take_nothing_and_break_nothing(scaled: bool) -> None:
    vectors = torch.zeros(5, 3, dtype=torch.float64)
    found = cluster(vectors, 3, scaled=scaled, options=FitOptions())
    assert found.squared_errors[-1] == 0
    assert found.filters.isfinite().all()
    assert found.assignment.coefficient.isfinite().all()


def test_a_filter_that_nothing_needs_takes_the_worst_vector() -> None:
    vectors = torch.tensor([[4.0, 0], [0, 3.0], [0.1, 0]], dtype=torch.float64)
    filters = torch.tensor([[1.0, 0], [0, 0]], dtype=torch.float64)
    assignment = assign(vectors, filters, scaled=True)
    assert assignment.index.tolist() == [0, 0, 0]
    torch.testing.assert_close(best_filters(vectors, assignment, filters)[1], vectors[1])


def test_the_seed_decides_alone() -> None:
    vectors = torch.tensor(draw(0, 40, 6))
    results = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        results.append(cluster(vectors, 5, scaled=True, options=FitOptions()).filters)
    assert torch.equal(results[0], results[1])
    other = cluster(vectors, 5, scaled=True, options=FitOptions(restarts_count=1, seed=9)).filters
    assert not torch.equal(results[0], other)


def test_more_restarts_are_never_worse() -> None:
    vectors = torch.tensor(draw(3, 60, 5))
    few, many = (
        cluster(vectors, 6, scaled=True, options=FitOptions(restarts_count=count))
        for count in (1, 8)
    )
    assert many.squared_errors[-1] < few.squared_errors[-1]

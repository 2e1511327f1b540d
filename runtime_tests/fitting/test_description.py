"""Descriptions fitted to outputs: exact minima, by brute force and by numpy, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.models.fitting.description import Description, fragment_gains, reassign, refit
from legoexport.models.fitting.output_error import OutputError, output_error

# Sums of some hundred products in float64, squared errors of the size of 1 to 100.
ROUNDING = 1e-8


@dataclass(frozen=True)
class Case:
    """A small layer with what it reads and what it should give.

    Attributes:
        inputs: ``(P, o * d)`` float64.
        outputs: ``(P, n)``.
        importance: ``(n,)``.
        found: Some description.
        scaled: Whether it has coefficients.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    importance: np.ndarray
    found: Description
    scaled: bool

    @property
    def error(self) -> OutputError:
        tensors = map(torch.tensor, (self.inputs, self.outputs, self.importance))
        return output_error(*tensors, centred=False)

    def measured(self, weight: np.ndarray) -> np.ndarray:
        """Weighted mean squared error of each output, from the outputs themselves."""
        differences = self.inputs @ weight.T - self.outputs
        errors: np.ndarray = self.importance * (differences**2).mean(0)
        return errors


@st.composite
def cases(draw: st.DrawFn) -> Case:
    o, d, n, m = (draw(st.integers(1, most)) for most in (3, 4, 6, 4))
    scaled, generator = draw(st.booleans()), np.random.default_rng(draw(st.integers(0, 2**31)))
    mixing = generator.standard_normal((o * d, o * d))  # inputs that depend on each other
    coefficient = generator.standard_normal((o, n)) if scaled else np.ones((o, n))
    return Case(
        inputs=generator.standard_normal((40, o * d)) @ mixing,
        outputs=generator.standard_normal((40, n)),
        importance=generator.uniform(0.5, 2, n),
        found=Description(
            torch.tensor(generator.standard_normal((m, d))),
            torch.tensor(generator.integers(0, m, (o, n))),
            torch.tensor(coefficient),
        ),
        scaled=scaled,
    )


@given(cases())
@settings(max_examples=40, deadline=None)
def test_the_error_is_that_of_the_outputs(case: Case) -> None:
    weight = case.found.weight()
    expected = case.measured(weight.numpy())
    np.testing.assert_allclose(case.error.of(weight), expected, rtol=ROUNDING, atol=ROUNDING)
    whole = float((case.importance * (case.outputs**2).mean(0)).sum())
    ratio = (expected.sum() / whole) ** 0.5
    assert case.error.relative(weight) == pytest.approx(ratio, rel=ROUNDING)


@given(cases())
@settings(max_examples=40, deadline=None)
def test_each_fragment_takes_the_best_of_all_filters(case: Case) -> None:
    """In turn, given the others: every filter is tried, its coefficient found by numpy."""
    o, n = case.found.index.shape
    bank = case.found.filters.numpy()
    parts, d = case.found.parts().numpy().copy(), bank.shape[1]
    for i in range(o):
        seen = case.inputs[:, i * d : (i + 1) * d] @ bank.T
        for output in range(n):
            others = np.concatenate([*parts[:i, output], np.zeros(d), *parts[i + 1 :, output]])
            rest = case.outputs[:, output] - case.inputs @ others
            scales = [
                np.linalg.lstsq(one[:, None], rest, rcond=None)[0][0] if case.scaled else 1.0
                for one in seen.T
            ]
            errors = [((rest - c * one) ** 2).sum() for c, one in zip(scales, seen.T, strict=True)]
            best = int(np.argmin(errors))
            parts[i, output] = scales[best] * bank[best]
    expected = case.measured(parts.transpose(1, 0, 2).reshape(n, o * d))
    found = reassign(case.error, case.found, scaled=case.scaled)
    np.testing.assert_allclose(
        case.measured(found.weight().numpy()), expected, rtol=ROUNDING, atol=ROUNDING
    )


@given(cases(), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_no_step_raises_the_error(case: Case, steps_count: int) -> None:
    found, error = case.found, case.error
    errors = [float(error.of(found.weight()).sum())]
    for _ in range(3):
        found = reassign(error, found, scaled=case.scaled)
        errors.append(float(error.of(found.weight()).sum()))
        found = refit(error, found, steps_count)
        errors.append(float(error.of(found.weight()).sum()))
    assert all(after <= before + ROUNDING * errors[0] for before, after in pairwise(errors))


@given(cases())
@settings(max_examples=40, deadline=None)
def test_enough_steps_reach_the_least_squares_of_numpy(case: Case) -> None:
    o, n = case.found.index.shape
    m, d = case.found.filters.shape
    index, coefficient = case.found.index.numpy(), case.found.coefficient.numpy()
    design = np.zeros((n, len(case.inputs), m, d))
    for i in range(o):
        for output in range(n):
            seen = coefficient[i, output] * case.inputs[:, i * d : (i + 1) * d]
            design[output, :, index[i, output]] += seen
    weights = np.sqrt(case.importance)
    rows = (weights[:, None, None, None] * design).reshape(-1, m * d)
    wanted = (weights * case.outputs).T.flatten()
    bank = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    expected = ((rows @ bank - wanted) ** 2).sum() / len(case.inputs)
    # As many steps as unknowns end at the minimum in exact arithmetic; twice as many, in this one.
    found = refit(case.error, case.found, 2 * m * d)
    actual = case.measured(found.weight().numpy()).sum()
    assert actual == pytest.approx(expected, rel=1e-5, abs=ROUNDING)


def test_a_filter_that_nothing_chose_is_put_to_use() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, weight = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((50, 6), (4, 6))
    )
    error = output_error(inputs, inputs @ weight.T, torch.ones(4).double(), centred=False)
    same = torch.ones(4, 6).double()  # four filters for four outputs, but all of them equal
    found = Description(same, torch.zeros(1, 4, dtype=torch.int64), torch.ones(1, 4).double())
    for _ in range(5):
        found = reassign(error, refit(error, found, 12), scaled=True)
    assert error.relative(found.weight()) <= 1e-3  # the ridge of the direction that was taken
    assert found.index.unique().tolist() == [0, 1, 2, 3]


def test_a_filter_that_no_input_reaches_gains_nothing() -> None:
    inputs = torch.zeros(5, 2).double()
    inputs[:, 0] = torch.arange(5)
    error = output_error(inputs, inputs[:, :1].clone(), torch.ones(1).double(), centred=False)
    filters = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double()
    index = torch.zeros(1, 1, dtype=torch.int64)
    gains, coefficients = fragment_gains(
        error, Description(filters, index, torch.ones(1, 1).double()), 0, scaled=True
    )
    assert gains.tolist() == [[0.0, 6.0]]  # the mean of 0, 1, 4, 9, 16
    assert coefficients.tolist() == [[0.0, 1.0]]

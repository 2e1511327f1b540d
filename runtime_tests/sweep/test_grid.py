"""The networks of a sweep, and their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.errors import UsageError
from legoexport.models.registry import complete
from legoexport.sweep.grid import Design, Grid


def axis(values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(values, min_size=1, max_size=3, unique=True).map(tuple)


grids = st.builds(
    Grid,
    axis(st.integers(1, 64)),
    axis(st.sampled_from([0.125, 0.25, 1 / 3, 0.5, 1.0])),
    axis(st.booleans()),
    axis(st.integers(0, 99)),
    st.lists(st.sampled_from([0.35, 0.5, 0.7]), max_size=3, unique=True).map(tuple),
)


@given(grids)
def test_every_combination_once_and_the_dense_twin_first(grid: Grid) -> None:
    combinations = len(grid.o_values) * len(grid.m_ratios) * len(grid.coefficients)
    dense_count = 1 + len(grid.widths)
    assert len(set(grid.designs)) == len(grid.designs) == combinations + dense_count
    assert [design.width for design in grid.designs[:dense_count]] == [1, *grid.widths]
    assert [design.is_dense for design in grid.designs] == (
        [True] * dense_count + [False] * combinations
    )
    assert len({cell.name for cell in grid.cells}) == len(grid.designs) * len(grid.seeds)


@given(grids)
def test_a_sweep_cut_short_leaves_whole_grids(grid: Grid) -> None:
    seeds = [cell.seed for cell in grid.cells]
    count = len(grid.designs)
    assert [seeds[i] for i in range(0, len(seeds), count)] == list(grid.seeds)
    assert all(len(set(seeds[i : i + count])) == 1 for i in range(0, len(seeds), count))


def test_what_a_design_asks_the_registry_for() -> None:
    asked = Design(4, 0.25, coefficients=False).hyperparameters
    built = complete("lego_digits", asked)
    assert (built["o"], built["m_ratio"], built["coefficients"]) == (4, 0.25, False)
    assert Design().hyperparameters == {}
    assert complete("digits", Design(width=0.35).hyperparameters)["width"] == 0.35


def test_half_a_design_is_refused() -> None:
    with pytest.raises(UsageError, match="all of o, m_ratio, coefficients"):
        Design(o=2)


@pytest.mark.parametrize("values", [(), (2, 2)])
def test_an_empty_or_doubled_axis_is_named(values: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="--o"):
        Grid(values, (0.5,), (True,), (0,))


@pytest.mark.parametrize("widths", [(0.5, 0.5), (1.0,), (0.0,), (float("nan"),)])
def test_a_width_is_a_part_and_named_once(widths: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match=r"--widths[^$]*between 0 and 1"):
        Grid((2,), (0.5,), (True,), (0,), widths)

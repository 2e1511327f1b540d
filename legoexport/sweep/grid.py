"""The networks of a sweep: every combination of o, m and coefficients, and the dense twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from legoexport.errors import UsageError


@dataclass(frozen=True)
class Design:
    """One way to cut the Lego layers of a network, or none of them.

    Attributes:
        o: Input fragments; None for the dense twin.
        m_ratio: Lego filters per output channel; None for the dense twin.
        coefficients: Whether coefficients are learned; None for the dense twin.
    """

    o: int | None = None
    m_ratio: float | None = None
    coefficients: bool | None = None

    def __post_init__(self) -> None:
        """Refuse a design with only some of its values."""
        missing = {value is None for value in (self.o, self.m_ratio, self.coefficients)}
        if len(missing) != 1:
            raise UsageError(
                "a design needs all of o, m_ratio, coefficients, or none", received=self
            )

    @property
    def is_dense(self) -> bool:
        """Whether this is the dense twin."""
        return self.o is None

    @property
    def name(self) -> str:
        """The name, such as ``o2-m0.5-plain``; part of file names."""
        if self.is_dense:
            return "dense"
        return f"o{self.o}-m{self.m_ratio:g}-{'coefficients' if self.coefficients else 'plain'}"

    @property
    def hyperparameters(self) -> dict[str, object]:
        """Arguments of the registered architecture."""
        if self.is_dense:
            return {}
        return {"o": self.o, "m_ratio": self.m_ratio, "coefficients": self.coefficients}


@dataclass(frozen=True)
class Cell:
    """One training of a sweep.

    Attributes:
        design: The network.
        seed: Seed of all random numbers.
    """

    design: Design
    seed: int

    @property
    def name(self) -> str:
        """Name of the cell's files."""
        return f"{self.design.name}-seed{self.seed}"


@dataclass(frozen=True)
class Grid:
    """The designs of a sweep, each trained with every seed.

    Attributes:
        o_values: Numbers of fragments.
        m_ratios: Lego filters per output channel.
        coefficients: With, without, or both.
        seeds: Every design is trained once with each.

    Raises:
        UsageError: An axis is empty or names a value twice.
    """

    o_values: tuple[int, ...]
    m_ratios: tuple[float, ...]
    coefficients: tuple[bool, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check every axis."""
        axes: dict[str, Sequence[object]] = {
            "o": self.o_values,
            "m": self.m_ratios,
            "coefficients": self.coefficients,
            "seeds": self.seeds,
        }
        for name, axis in axes.items():
            if not axis or len(set(axis)) != len(axis):
                raise UsageError(
                    f"sweep: --{name}", received=axis, legal="at least one value, each only once"
                )

    @property
    def designs(self) -> tuple[Design, ...]:
        """The dense twin, and every combination."""
        combinations = (
            Design(o, m_ratio, coefficients)
            for o in self.o_values
            for coefficients in self.coefficients
            for m_ratio in self.m_ratios
        )
        return (Design(), *combinations)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every training, seed by seed, so that a sweep that is cut short leaves whole grids."""
        return tuple(Cell(design, seed) for seed in self.seeds for design in self.designs)

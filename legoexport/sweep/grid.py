"""The networks of a sweep: the dense twin, thinner ones, and every o, m and coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from legoexport.errors import UsageError
from legoexport.lego.scales import Precision


@dataclass(frozen=True)
class Design:
    """One way to cut the Lego layers of a network, or none of them.

    Attributes:
        o: Input fragments; None for the dense twin.
        m_ratio: Lego filters per output channel; None for the dense twin.
        coefficients: Whether coefficients are learned; None for the dense twin.
        width: Multiplies the channels of every layer; below 1 for a thin dense network.
    """

    o: int | None = None
    m_ratio: float | None = None
    coefficients: bool | None = None
    width: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a design with only some of its values."""
        missing = {value is None for value in (self.o, self.m_ratio, self.coefficients)}
        if len(missing) != 1:
            raise UsageError(
                "a design needs all of o, m_ratio, coefficients, or none", received=self
            )

    @property
    def is_dense(self) -> bool:
        """Whether it has no Lego layers: the dense twin, or a thinner one."""
        return self.o is None

    @property
    def name(self) -> str:
        """The name, such as ``o2-m0.5-plain``; part of file names."""
        if self.is_dense:
            return "dense" if self.width == 1 else f"dense-w{self.width:g}"
        return f"o{self.o}-m{self.m_ratio:g}-{'coefficients' if self.coefficients else 'plain'}"

    @property
    def hyperparameters(self) -> dict[str, object]:
        """Arguments of the registered architecture."""
        if self.is_dense:
            return {} if self.width == 1 else {"width": self.width}
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
class Variant:
    """A trained cell, converted to compute in one precision.

    Attributes:
        cell: The training.
        precision: What the file computes in.
    """

    cell: Cell
    precision: Precision

    @property
    def name(self) -> str:
        """Name of the variant's files."""
        return named(self.cell.name, self.precision)


@dataclass(frozen=True)
class Grid:
    """The designs of a sweep, each trained with every seed and converted to every precision.

    Attributes:
        o_values: Numbers of fragments.
        m_ratios: Lego filters per output channel.
        coefficients: With, without, or both.
        seeds: Every design is trained once with each.
        widths: Thin dense networks, as parts of the dense twin's channels; may be empty.
        precisions: What files compute in; every trained network is converted to each.
        left_out: Designs that the axes name and that are not wanted.

    Raises:
        UsageError: An axis is empty or names a value twice, or a width is no part.
    """

    o_values: tuple[int, ...]
    m_ratios: tuple[float, ...]
    coefficients: tuple[bool, ...]
    seeds: tuple[int, ...]
    widths: tuple[float, ...] = ()
    precisions: tuple[Precision, ...] = ("fp32",)
    left_out: frozenset[Design] = frozenset()

    def __post_init__(self) -> None:
        """Check every axis."""
        axes: dict[str, Sequence[object]] = {
            "o": self.o_values,
            "m": self.m_ratios,
            "coefficients": self.coefficients,
            "seeds": self.seeds,
            "precision": self.precisions,
        }
        for name, axis in axes.items():
            if not axis or len(set(axis)) != len(axis):
                raise UsageError(
                    f"sweep: --{name}", received=axis, legal="at least one value, each only once"
                )
        thin = all(0 < width < 1 for width in self.widths)
        if not thin or len(set(self.widths)) != len(self.widths):
            raise UsageError(
                "sweep: --widths",
                received=self.widths,
                legal="values between 0 and 1, each only once, or none",
            )

    @property
    def designs(self) -> tuple[Design, ...]:
        """The dense twin, the thinner ones, and every combination, but for those left out."""
        combinations = (
            Design(o, m_ratio, coefficients)
            for o in self.o_values
            for coefficients in self.coefficients
            for m_ratio in self.m_ratios
        )
        thin = (Design(width=width) for width in self.widths)
        named = (Design(), *thin, *combinations)
        return tuple(design for design in named if design not in self.left_out)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every training, seed by seed, so that a sweep that is cut short leaves whole grids."""
        return tuple(Cell(design, seed) for seed in self.seeds for design in self.designs)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Every file: those of one training after each other, to be measured alike."""
        return tuple(Variant(cell, each) for cell in self.cells for each in self.precisions)


def named(name: str, precision: Precision) -> str:
    """Return a name that tells the precision, if it is not the usual one."""
    return name if precision == "fp32" else f"{name}-{precision}"

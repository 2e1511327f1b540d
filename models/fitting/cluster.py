"""Vectors described by few shared ones: k-means, and its projective form where each has a scale.

The dense filters of a layer are o*n vectors; its Lego filters are m shared ones. With coefficients
``vector ~ coefficient * filter``: a filter is a line, and this is projective clustering. Without,
``vector ~ filter``, which is k-means. Assignment and least squares are each the exact minimum over
what they change, so the error never increases.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Below this share of a vector's squared norm a remainder is the rounding of float32 weights.
ROUNDING_SHARE = 1e-12


@dataclass(frozen=True)
class FitOptions:
    """How long to look for a good bank.

    Attributes:
        restarts_count: Seedings that are tried; the best result is kept.
        most_iterations: Rounds of assignment and least squares for each.
        least_gain_ratio: Stop when a round lowers the squared error by less than this share.
        seed: Seed of the seedings.
    """

    restarts_count: int = 4
    most_iterations: int = 100
    least_gain_ratio: float = 1e-5
    seed: int = 0


@dataclass(frozen=True)
class Assignment:
    """Which filter describes each vector, and how well.

    Attributes:
        index: ``(N,)`` int64.
        coefficient: ``(N,)`` float64; all 1 without coefficients.
        residual: ``(N,)`` squared distance of each vector from its description.
    """

    index: Tensor
    coefficient: Tensor
    residual: Tensor


@dataclass(frozen=True)
class Clustering:
    """A bank and the best description of the vectors by it.

    Attributes:
        filters: ``(m, d)`` float64.
        assignment: Which of them describes each vector.
        squared_errors: After each round, never increasing; the last belongs to ``assignment``.
    """

    filters: Tensor
    assignment: Assignment
    squared_errors: tuple[float, ...]


def cluster(vectors: Tensor, m: int, *, scaled: bool, options: FitOptions) -> Clustering:
    """Find m filters that describe the vectors.

    Args:
        vectors: ``(N, d)`` float64.
        m: Number of filters, at least 1.
        scaled: Whether each vector has a coefficient of its own.
        options: How long to look.

    Returns:
        The best of the restarts. It is the optimum if m filters describe the vectors exactly, and a
        local optimum otherwise (finding the global one is NP-hard).
    """
    generator = torch.Generator().manual_seed(options.seed)
    found = [
        _descend(
            vectors, seed_filters(vectors, m, generator, scaled=scaled), options, scaled=scaled
        )
        for _ in range(options.restarts_count)
    ]
    return min(found, key=lambda clustering: clustering.squared_errors[-1])


def assign(vectors: Tensor, filters: Tensor, *, scaled: bool) -> Assignment:
    """Return the optimal index and coefficient of every vector for a given bank.

    With the coefficient ``<v, f> / |f|^2``, a scaled filter leaves ``|v|^2 - <v, f>^2 / |f|^2`` of
    a vector; an unscaled one leaves ``|v|^2 - (2 <v, f> - |f|^2)``. Each vector takes the filter
    that leaves the least, or the first such filter.
    """
    shares, coefficients = gains(vectors, filters, scaled=scaled)
    index = shares.argmax(dim=1)
    coefficient = coefficients.gather(1, index[:, None])[:, 0]
    difference = vectors - coefficient[:, None] * filters[index]
    return Assignment(index, coefficient, difference.square().sum(1))


def gains(vectors: Tensor, filters: Tensor, *, scaled: bool) -> tuple[Tensor, Tensor]:
    """Return how much of each vector's squared norm each filter takes away, and with what scale.

    Args:
        vectors: ``(N, d)``.
        filters: ``(m, d)``; an all-zero filter takes nothing.
        scaled: Whether each vector has a coefficient of its own.

    Returns:
        Gains and coefficients, each ``(N, m)``.
    """
    inner = vectors @ filters.T
    norms = filters.square().sum(1)
    if not scaled:
        return 2 * inner - norms, torch.ones_like(inner)
    coefficients = inner / torch.where(norms > 0, norms, torch.inf)
    return inner * coefficients, coefficients


def best_filters(vectors: Tensor, assignment: Assignment, filters: Tensor) -> Tensor:
    """Return the least-squares bank for given choices and coefficients.

    ``f_j = sum c v / sum c^2`` over the vectors that chose j. A filter that nothing needs takes the
    direction of one of the worst described vectors, which leaves the error as it is and lets the
    next assignment lower it.
    """
    index, coefficient = assignment.index, assignment.coefficient
    weighted = torch.zeros_like(filters).index_add_(0, index, coefficient[:, None] * vectors)
    energy = filters.new_zeros(len(filters)).index_add_(0, index, coefficient.square())
    unused = (energy == 0).nonzero()[:, 0]
    best = weighted / torch.where(energy > 0, energy, torch.inf)[:, None]
    worst = assignment.residual.argsort(descending=True)[: len(unused)]
    best[unused[: len(worst)]] = vectors[worst]
    return best


def seed_filters(vectors: Tensor, m: int, generator: torch.Generator, *, scaled: bool) -> Tensor:
    """Draw m of the vectors, with odds by the squared distance from those drawn before.

    This is k-means++ (Arthur and Vassilvitskii, 2007), with the distance from a line for scaled
    filters. It finds every filter at once where m of them describe the vectors exactly.
    """
    norms = vectors.square().sum(1)
    left = norms.clone()
    drawn: list[int] = []
    for _ in range(m):
        odds = left if bool(left.sum() > 0) else torch.ones_like(left)
        drawn.append(int(torch.multinomial(odds.cpu(), 1, generator=generator)))
        shares, _ = gains(vectors, vectors[drawn[-1:]], scaled=scaled)
        left = torch.minimum(left, norms - shares[:, 0])
        left[left < ROUNDING_SHARE * norms] = 0
    return vectors[drawn].clone()


def _descend(vectors: Tensor, filters: Tensor, options: FitOptions, *, scaled: bool) -> Clustering:
    assignment = assign(vectors, filters, scaled=scaled)
    errors = [float(assignment.residual.sum())]
    for _ in range(options.most_iterations):
        filters_next = best_filters(vectors, assignment, filters)
        assignment_next = assign(vectors, filters_next, scaled=scaled)
        error = float(assignment_next.residual.sum())
        if error >= errors[-1]:  # nothing but rounding is left to gain
            break
        filters, assignment = filters_next, assignment_next
        errors.append(error)
        if errors[-2] - error < options.least_gain_ratio * errors[-2]:
            break
    return Clustering(filters, assignment, tuple(errors))

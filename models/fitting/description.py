"""Filters of a layer described by shared ones, and the best description for its outputs.

Assignment and least squares lower an ``OutputError``. The one finds the exact minimum over what it
changes, the other descends towards it, so the error never rises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from legoexport.models.fitting.output_error import OutputError

# Of the mean of the diagonal, so that a Cholesky factor exists in float32.
RIDGE_RATIO = 1e-4

Solve = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Description:
    """A bank, and which filter stands for each fragment of each dense filter.

    Attributes:
        filters: ``(m, d)``.
        index: ``(o, n)`` int64.
        coefficient: ``(o, n)``; all 1 without coefficients.
    """

    filters: Tensor
    index: Tensor
    coefficient: Tensor

    def parts(self) -> Tensor:
        """Return the described fragments, ``(o, n, d)``."""
        return self.coefficient[:, :, None] * self.filters[self.index]

    def weight(self) -> Tensor:
        """Return the assembled weight, ``(n, o * d)``."""
        return joined(self.parts())


def joined(parts: Tensor) -> Tensor:
    """Return weights ``(n, o * d)`` of fragments ``(o, n, d)``."""
    return parts.transpose(0, 1).flatten(1)


def split(weight: Tensor, o: int) -> Tensor:
    """Return fragments ``(o, n, d)`` of weights ``(n, o * d)``."""
    return weight.reshape(len(weight), o, -1).transpose(0, 1)


def fragment_gains(
    error: OutputError, found: Description, fragment: int, *, scaled: bool
) -> tuple[Tensor, Tensor]:
    """Return how much each filter lowers each output's error in one fragment, and with what scale.

    The other fragments stay as they are, and leave the remainder r of the target. A filter l with
    coefficient c changes the error by ``c^2 (l H l) - 2 c (l r)``, which is least for
    ``c = (l r) / (l H l)``.

    Returns:
        Gains and coefficients, each ``(n, m)``; a filter that no input reaches gains nothing.
    """
    d = found.filters.shape[1]
    part = slice(fragment * d, (fragment + 1) * d)
    others = found.parts()
    others[fragment] = 0
    remainder = error.target[:, part] - joined(others) @ error.gram[:, part]
    inner = remainder @ found.filters.T
    norms = (found.filters @ error.gram[part, part] * found.filters).sum(1)
    if not scaled:
        return 2 * inner - norms, torch.ones_like(inner)
    coefficients = inner / torch.where(norms > 0, norms, torch.inf)
    return inner * coefficients, coefficients


def reassign(error: OutputError, found: Description, *, scaled: bool) -> Description:
    """Give each fragment the best filter and coefficient, one fragment after the other."""
    for fragment in range(len(found.index)):
        gains, coefficients = fragment_gains(error, found, fragment, scaled=scaled)
        index, coefficient = found.index.clone(), found.coefficient.clone()
        index[fragment] = gains.argmax(1)
        coefficient[fragment] = coefficients.gather(1, index[fragment][:, None])[:, 0]
        found = Description(found.filters, index, coefficient)
    return found


def refit(error: OutputError, found: Description, steps_count: int) -> Description:
    """Lower the error over the bank, for given choices and coefficients.

    The fragments of an output add up, so the least squares couple all filters. Conjugate gradients
    solve them, preconditioned by what each filter would need if it stood alone. Filters that
    nothing chose take the direction that the worst outputs ask for.
    """
    solve = _solver(error, found)
    missing = error.target - found.weight() @ error.gram
    filters = _revived(error, found, missing, solve)
    energy = _energy(error, found)[:, None]
    residual = _asked(error, found, missing)
    direction = step = solve(residual) / energy
    slope = (residual * step).sum()
    for _ in range(steps_count):
        if not bool(slope > 0):  # at the minimum already
            break
        moved = replace(found, filters=direction).weight() @ error.gram
        image = _asked(error, found, moved)
        length = slope / (direction * image).sum()
        filters = filters + length * direction
        residual = residual - length * image
        step = solve(residual) / energy
        slope, slope_before = (residual * step).sum(), slope
        direction = step + slope / slope_before * direction
    return replace(found, filters=filters)


def _asked(error: OutputError, found: Description, weight: Tensor) -> Tensor:
    """The transpose of assembling: what a change ``(n, o * d)`` of the weight asks of the bank."""
    parts = split(weight * error.importance[:, None], len(found.index))
    asked = (found.coefficient[:, :, None] * parts).flatten(0, 1)
    return torch.zeros_like(found.filters).index_add_(0, found.index.flatten(), asked)


def _energy(error: OutputError, found: Description) -> Tensor:
    """Sum of squared coefficients of each filter, ``(m,)``; infinite where nothing needs it."""
    uses = (error.importance * found.coefficient.square()).flatten()
    energy = uses.new_zeros(len(found.filters)).index_add_(0, found.index.flatten(), uses)
    return torch.where(energy > 0, energy, torch.inf)


def _solver(error: OutputError, found: Description) -> Solve:
    """Return division of rows ``(_, d)`` by H, as a mean over the fragments."""
    d = found.filters.shape[1]
    fragments = range(0, len(error.gram), d)
    mean = torch.stack([error.gram[i : i + d, i : i + d] for i in fragments]).mean(0)
    ridge = (RIDGE_RATIO * mean.diagonal().mean()).clamp(min=torch.finfo(mean.dtype).tiny)
    factor = torch.linalg.cholesky(mean + ridge * torch.eye(d).to(mean))
    return lambda rows: torch.cholesky_solve(rows.T, factor).T


def _revived(error: OutputError, found: Description, missing: Tensor, solve: Solve) -> Tensor:
    uses = torch.bincount(found.index.flatten(), minlength=len(found.filters))
    unused = (uses == 0).nonzero()[:, 0]
    filters, (o, n) = found.filters.clone(), found.index.shape
    worst = error.of(found.weight()).argsort(descending=True).tolist()
    for filter_, k in zip(unused.tolist(), range(o * n), strict=False):
        fragment, output = k % o, worst[k // o]
        own = found.parts()[fragment, output]
        part = slice(fragment * len(own), (fragment + 1) * len(own))
        asked = missing[output, part] + own @ error.gram[part, part]
        filters[filter_] = solve(asked[None])[0]
    return filters

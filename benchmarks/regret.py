"""How much slower a choice is than the best measured lowering, and how much of that is luck.

The best of a dozen noisy times is a little too fast by luck, so a choice is also held against a
fair rival: the form that half of the rounds found fastest, timed in the other half. The same
choice made by measuring has a regret too, the floor: no model can be expected below it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# What each form took (ms), round by round.
Rounds = Mapping[str, Sequence[float]]
OverRounds = Callable[[Sequence[float]], float]
HALVES_COUNT = 2


@dataclass(frozen=True)
class Regret:
    """Times of a layer as multiples of a shorter one.

    Attributes:
        plain: The choice over the best form, both over all rounds.
        fair: The choice over the form that one half of the rounds found fastest, both timed in the
            other half; None with a single round. It is below 1 where the choice is better.
        floor: The form that one half found fastest over the fastest of the other half, there.
    """

    plain: float
    fair: float | None
    floor: float | None


def regret(rounds: Rounds, chosen: str, over_rounds: OverRounds) -> Regret:
    """Return the regret of choosing ``chosen`` for a layer with these times."""
    total = _over(rounds, over_rounds)
    plain = total[chosen] / min(total.values())
    if min(map(len, rounds.values())) < HALVES_COUNT:
        return Regret(plain, None, None)
    fair, floor = [], []
    for first in range(HALVES_COUNT):
        picking, timing = (
            _over({form: taken[i::HALVES_COUNT] for form, taken in rounds.items()}, over_rounds)
            for i in (first, 1 - first)
        )
        picked = min(picking, key=picking.__getitem__)
        fair.append(timing[chosen] / timing[picked])
        floor.append(timing[picked] / min(timing.values()))
    return Regret(plain, float(np.mean(fair)), float(np.mean(floor)))


def summary(regrets: Sequence[Regret]) -> str:
    """Return means and worst cases over layers in a line."""
    plain = [one.plain for one in regrets]
    text = f"{np.mean(plain):.3f} times the best on the mean, at worst {max(plain):.2f}"
    fair = [one.fair for one in regrets if one.fair is not None]
    floor = [one.floor for one in regrets if one.floor is not None]
    if not fair or not floor:
        return f"{text}; one round tells nothing of luck"
    return (
        f"{text}; against the form that half the rounds found fastest {np.mean(fair):.3f}, which"
        f" itself takes {np.mean(floor):.3f} times the best"
    )


def _over(rounds: Rounds, over_rounds: OverRounds) -> dict[str, float]:
    return {form: over_rounds(taken) for form, taken in rounds.items()}

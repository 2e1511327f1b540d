"""How long to measure: one number, the minutes of a full run, decides the rest."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from legoexport.errors import UsageError

DEFAULT_BUDGET_MIN = 40.0
# Seconds at the default budget, in which a full run fits on 4 cores.
TUNE_S = 40.0
MODEL_S = 1.8
POINT_S = 0.6
# An interval over restarts needs some, whatever the budget; with a longer one there are more.
RESTARTS_COUNT = 3


@dataclass(frozen=True)
class Settings:
    """How long to measure.

    Attributes:
        tune_s: Seconds that ``convert --tune`` may measure, for each network.
        model_s: Seconds that each model runs in a race of whole networks.
        point_s: Seconds that each model runs for a point of a curve.
        restarts_count: How often the processes of a race start afresh.
        all_threads: The larger of the two thread counts: one for each physical core.
    """

    tune_s: float
    model_s: float
    point_s: float
    restarts_count: int
    all_threads: int

    @property
    def threads(self) -> tuple[int, ...]:
        """The thread counts measured: 1, and all cores where there are more."""
        return tuple(sorted({1, self.all_threads}))


def settings_for(budget_min: float, all_threads: int) -> Settings:
    """Return the settings whose full run takes about ``budget_min`` minutes on 4 cores.

    Raises:
        UsageError: The budget is not positive and finite.
    """
    if not (isfinite(budget_min) and budget_min > 0):
        raise UsageError("--budget", received=budget_min, legal="minutes, such as 40")
    scale = budget_min / DEFAULT_BUDGET_MIN
    return Settings(
        tune_s=TUNE_S * scale,
        model_s=MODEL_S * scale,
        point_s=POINT_S * scale,
        restarts_count=round(RESTARTS_COUNT * min(max(scale, 1.0), 2.0)),
        all_threads=all_threads,
    )

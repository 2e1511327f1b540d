"""What a list of latencies says: percentiles, and how many times faster one model is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

PERCENTILES = (50, 90, 95, 99)
RESAMPLES_COUNT = 4000
CONFIDENCE_PERCENT = 95.0
SEED = 0  # the same latencies give the same interval


@dataclass(frozen=True)
class Latency:
    """Latencies of single runs, in milliseconds."""

    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    std_ms: float
    min_ms: float
    runs_count: int

    def to_json(self) -> dict[str, float]:
        """Return the attributes under their own names."""
        return asdict(self)


@dataclass(frozen=True)
class RatioInterval:
    """A ratio and its 95 % confidence interval; dimensionless."""

    estimate_ratio: float
    low_ratio: float
    high_ratio: float

    @property
    def holds_one(self) -> bool:
        """Whether the measurement is compatible with no difference at all."""
        return self.low_ratio <= 1.0 <= self.high_ratio

    def to_json(self) -> dict[str, float]:
        """Return the attributes under their own names."""
        return asdict(self)


def summarize(latencies_ms: Sequence[float]) -> Latency:
    """Summarize at least one latency; percentiles are interpolated linearly."""
    values = np.asarray(latencies_ms, dtype=np.float64)
    p50, p90, p95, p99 = (float(p) for p in np.percentile(values, PERCENTILES))
    return Latency(
        p50,
        p90,
        p95,
        p99,
        float(values.mean()),
        float(values.std()),
        float(values.min()),
        len(values),
    )


def ratio_of_medians(restarts_ms: Sequence[Sequence[tuple[float, float]]]) -> RatioInterval:
    """Return how many times larger the first of each pair is.

    The median over restarts of each one's median over rounds of ``log(first / second)``, with a
    percentile bootstrap over restarts. Both of a pair are measured within moments of each other, so
    that whatever slows the machine for a while slows both and leaves the ratio alone. The rounds of
    one restart share accidents of its processes, such as their memory layout. More rounds say
    nothing about those, so rounds are not resampled. Because of the logarithms, swapping the two
    models gives the inverse ratio.

    Args:
        restarts_ms: For each restart and round the median latency of either model; at least one
            round in each, all positive.
    """
    logs = np.array([_median_log_ratio(pairs_ms) for pairs_ms in restarts_ms])
    picks = np.random.default_rng(SEED).integers(len(logs), size=(RESAMPLES_COUNT, len(logs)))
    medians = np.median(logs[picks], axis=1)
    tail = (100.0 - CONFIDENCE_PERCENT) / 2
    low, high = np.percentile(medians, (tail, 100.0 - tail))
    return RatioInterval(float(np.exp(np.median(logs))), float(np.exp(low)), float(np.exp(high)))


def _median_log_ratio(pairs_ms: Sequence[tuple[float, float]]) -> float:
    firsts, seconds = np.asarray(pairs_ms, dtype=np.float64).T
    return float(np.median(np.log(firsts / seconds)))

"""The same processor with narrower registers: memory as fast, arithmetic slower, as in phones."""

from benchmarks.narrower.narrow import LEVELS, environment_up_to

__all__ = ["LEVELS", "environment_up_to"]

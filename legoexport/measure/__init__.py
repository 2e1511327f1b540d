"""Measuring: one worker process per model, interleaved, ratios with intervals."""

from legoexport.measure.options import BenchOptions
from legoexport.measure.run import bench, compare
from legoexport.measure.timing import Comparison, Timing

__all__ = ["BenchOptions", "Comparison", "Timing", "bench", "compare"]

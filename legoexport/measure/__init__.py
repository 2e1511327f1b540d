"""Measuring: one worker process per model, interleaved, ratios with intervals."""

from legoexport.measure.options import BenchOptions
from legoexport.measure.run import bench_model, compare
from legoexport.measure.timing import Comparison, Timing

__all__ = ["BenchOptions", "Comparison", "Timing", "bench_model", "compare"]

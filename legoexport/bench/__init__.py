"""Measuring: one worker process per model, interleaved, ratios with intervals."""

from legoexport.bench.options import BenchOptions
from legoexport.bench.run import bench_model, compare
from legoexport.bench.timing import Comparison, Timing

__all__ = ["BenchOptions", "Comparison", "Timing", "bench_model", "compare"]

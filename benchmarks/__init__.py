"""Benchmarks of whole networks, beside other ways to run them; ``python -m benchmarks --help``."""

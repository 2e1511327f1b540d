"""Backbone x lowering x runtime: parity, partitions and file size, for docs/runtimes.md."""

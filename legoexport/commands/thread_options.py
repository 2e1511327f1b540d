"""``--threads`` of the commands that run a file."""

from __future__ import annotations

import click

# ONNX Runtime starts them all before it runs anything: with thousands it never gets so far.
MOST_THREADS = 256
THREADS = click.IntRange(1, MOST_THREADS)


def warn_of_waiting(threads: int, processors_count: int) -> None:
    """Print a warning to stderr if more threads run than processors, so that some wait."""
    if threads > processors_count:
        click.echo(
            f"WARNING: {threads} threads on {processors_count} processors wait for one another:"
            " the latency is not that of a machine with as many processors",
            err=True,
        )

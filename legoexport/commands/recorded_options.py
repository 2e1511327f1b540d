"""Options in the place of what a converted file records of its pictures and classes."""

from __future__ import annotations

from pathlib import Path

import click

labels_option = click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Text file with the name of each class on a line. What the file records, unless given.",
)
mean_option = click.option(
    "--mean",
    metavar="R,G,B",
    help="Mean to subtract from colours in [0, 1], as in training. One number, or one a channel."
    " What the file records, unless given.",
)
std_option = click.option(
    "--std", metavar="R,G,B", help="Standard deviation to divide by, likewise."
)

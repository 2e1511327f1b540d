"""The option of every command that writes files."""

from __future__ import annotations

import click

force_option = click.option(
    "--force", is_flag=True, help="Replace files of another kind, such as a checkpoint by a model."
)

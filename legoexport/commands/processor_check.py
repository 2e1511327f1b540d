"""Whether the processor here sums a file in int8 right: x86 without VNNI may not, silently."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from legoexport.errors import CheckFailed
from legoexport.host.processor import this_processor
from legoexport.host.reading import read_bytes
from legoexport.target import CPU_VNNI

if TYPE_CHECKING:
    from legoexport.lego.file_facts import FileFacts
    from legoexport.runtimes.base import Runtime

REMEDY = (
    "run it on a processor with VNNI, convert with --target cpu, or set the session option"
    " session.x64quantprecision = 1"
)


def wrong_sums_here(facts: FileFacts) -> str | None:
    """Return what is wrong if a file needs VNNI and this machine is known to have none."""
    needs = facts.entries.get("target") == CPU_VNNI.name and facts.precision == "int8"
    if not needs or not this_processor().lacks_vnni:
        return None
    return (
        f"a file of --target {CPU_VNNI.name} gives wrong numbers on this machine, whose processor"
        f" has no VNNI: {REMEDY}"
    )


def check_sums_here(facts: FileFacts, elsewhere: Sequence[Runtime]) -> None:
    """Refuse a file that is right and yet gives wrong numbers where it was checked.

    Args:
        facts: What the file says of itself.
        elsewhere: Where it was run, if not here.

    Raises:
        CheckFailed: It needs VNNI, and this machine has none.
    """
    problem = None if elsewhere else wrong_sums_here(facts)
    if problem is not None:
        raise CheckFailed(
            f"{problem}\nthe file itself is right: its integers were proved by exact kernels"
        )


def warn_of_wrong_sums(path: Path) -> None:
    """Print a warning to stderr if an ONNX file needs VNNI and this machine has none."""
    from legoexport.lego.file_facts import read_facts
    from legoexport.ort.session import parse_model

    if path.suffix == ".ort":  # It keeps no metadata that could be read without a session.
        return
    problem = wrong_sums_here(read_facts(parse_model(read_bytes(path), str(path))))
    if problem is not None:
        click.echo(f"WARNING: {path}: {problem}", err=True)

"""Fill the matrix of backbones, lowerings and runtimes, and write docs/runtimes.md.

    python -m benchmarks.runtimes_matrix [--runtime NAME] [--backbone NAME] [--lowering NAME]

Each option may be given many times; all of them unless named. Cells in
``benchmarks/results/runtimes.json`` that were taken of the same file are kept.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from importlib import metadata

import click

from benchmarks.matrix.int8_records import NETWORKS, RUNTIMES_OF, IntegerMatrix
from benchmarks.matrix.int8_records import failures as integer_failures
from benchmarks.matrix.names import BACKBONES, RUNTIMES, RUNTIMES_EMULATED
from benchmarks.matrix.records import Conditions
from benchmarks.matrix.render import failures, write_document
from benchmarks.matrix.store import Matrix
from legoexport.errors import CheckFailed, LegoExportError, UsageError
from legoexport.host.machine import describe
from legoexport.lego.scales import PRECISIONS
from legoexport.passes.lowerings import LOWERINGS
from legoexport.runtimes import Runtime, find_runtime
from legoexport.runtimes.each import NeedsPreparation
from legoexport.runtimes.web.install import installed
from legoexport.runtimes.web.node import find_node
from legoexport.runtimes.web.runtime import WebRuntime

PACKAGES = ("torch", "onnx", "numpy")


@click.command("runtimes_matrix")
@click.option("--runtime", "runtimes", multiple=True, type=click.Choice(RUNTIMES))
@click.option("--backbone", "backbones", multiple=True, type=click.Choice(list(NETWORKS)))
@click.option("--lowering", "lowerings", multiple=True, type=click.Choice(list(LOWERINGS)))
@click.option("--precision", type=click.Choice(PRECISIONS), help="One of both alone.")
@click.option("--again", is_flag=True, help="Take cells that are there already, too.")
@click.option("--render-only", is_flag=True, help="Write the document from what is there.")
def command(
    runtimes: tuple[str, ...],
    backbones: tuple[str, ...],
    lowerings: tuple[str, ...],
    precision: str | None,
    *,
    again: bool,
    render_only: bool,
) -> None:
    """Fill the matrix, write docs/runtimes.md, and fail if a cell is over its limit."""
    matrix, integers = Matrix(), IntegerMatrix()
    chosen = [] if render_only else _ready(runtimes or RUNTIMES)
    if chosen and precision != "int8":
        matrix.start(_conditions())
        for group in _by_cost(chosen):
            for backbone in [name for name in BACKBONES if name in (backbones or BACKBONES)]:
                _fill(matrix, backbone, lowerings or tuple(LOWERINGS), group, again=again)
    if chosen and precision != "fp32":
        integers.start(_conditions())
        for group in _by_cost(chosen):
            _fill_integers(integers, backbones or tuple(NETWORKS), group, again=again)
    write_document(matrix, integers)
    wrong = [*failures(matrix), *integer_failures(integers)]
    if wrong:
        raise CheckFailed("not every cell of the matrix is right", received="; ".join(wrong))


def _fill(
    matrix: Matrix,
    backbone_name: str,
    lowerings: Sequence[str],
    runtimes: Sequence[Runtime],
    *,
    again: bool,
) -> None:
    # torch takes seconds to import, which --render-only and --help should not wait for.
    from benchmarks.matrix.measure import build_files, load, take  # noqa: PLC0415

    _tell(f"building {backbone_name}")
    backbone = load(backbone_name)
    matrix.set_idle(backbone_name, backbone.idle)
    for built in build_files(backbone, lowerings):
        matrix.add_file(built.file)
        missing = [one for one in runtimes if again or not matrix.find(built.file, one.name)]
        # Side by side, as nothing is timed: most of them wait for a process of their own.
        with ThreadPoolExecutor(describe().logical_cores) as pool:
            taken = [pool.submit(take, backbone, built, runtime) for runtime in missing]
            for done in as_completed(taken):
                cell = done.result()
                matrix.add_cell(cell)
                _tell(f"{cell.key}: {cell.failure or cell.error_ratio}")


def _fill_integers(
    matrix: IntegerMatrix, networks: Sequence[str], runtimes: Sequence[Runtime], *, again: bool
) -> None:
    # As above: torch takes seconds to import.
    from benchmarks.matrix.int8 import take  # noqa: PLC0415

    for network in networks:
        for target, names in RUNTIMES_OF.items():
            missing = [
                one
                for one in runtimes
                if one.name in names and (again or not matrix.has(network, target, one.name))
            ]
            if not missing:
                continue
            _tell(f"converting {network} for {target} in int8")
            for cell in take(network, target, missing):
                matrix.add(cell)
                _tell(f"{cell.key}: {cell.failure or cell.differing_count} of {cell.values_count}")


def _ready(names: Sequence[str]) -> list[Runtime]:
    """Return the runtimes that are installed; say what the others lack."""
    ready = []
    for name in names:
        try:
            runtime = find_runtime(name)
            if isinstance(runtime, NeedsPreparation):
                runtime.prepare(_tell)
            elif isinstance(runtime, WebRuntime):
                find_node()
                installed()
            ready.append(runtime)
        except UsageError as error:
            _tell(f"{name} is left out: {error}")
    return ready


def _by_cost(runtimes: Sequence[Runtime]) -> list[list[Runtime]]:
    """Return those that take seconds, then those that take minutes; either only if there is one."""
    slow = [runtime for runtime in runtimes if runtime.name in RUNTIMES_EMULATED]
    quick = [runtime for runtime in runtimes if runtime not in slow]
    return [group for group in (quick, slow) if group]


def _conditions() -> Conditions:
    versions = {name: metadata.version(name) for name in PACKAGES}
    return Conditions(datetime.now(UTC).date().isoformat(), describe().to_json(), versions)


def _tell(step: str) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {step}", err=True)


if __name__ == "__main__":
    try:
        command()
    except LegoExportError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)

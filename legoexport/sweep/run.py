"""A whole sweep: train every cell, then measure every cell, then draw."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from legoexport.errors import UsageError
from legoexport.host.progress import Progress
from legoexport.models.registry import ARCHITECTURES, build, find_architecture
from legoexport.sweep.folder import Folder
from legoexport.sweep.grid import Design, Variant
from legoexport.sweep.measure_variant import ROUNDS_COUNT, convert_variant, time_variant
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.table import Row, present, rows, write_csv
from legoexport.sweep.train_cell import arch_of, train_cell


@dataclass(frozen=True)
class Swept:
    """A finished sweep.

    Attributes:
        table: A row for each design and precision, the dense twin first.
        files: What was drawn and written, the CSV file last.
    """

    table: tuple[Row, ...]
    files: tuple[Path, ...]


def train_all(request: SweepRequest, tell: Progress = lambda _: None) -> None:
    """Train every cell that is not finished; what was finished before is kept.

    Raises:
        UsageError: The folder holds cells of another budget, or the request does not fit together.
        CheckFailed: A training diverged.
        Interrupted: The user stopped it; the same request continues.
    """
    folder, cells = begin(request), request.grid.cells
    for number, cell in enumerate(cells, 1):
        if folder.result(cell) is None:
            tell(f"training {number} of {len(cells)}: {cell.name}")
            folder.write_result(cell, train_cell(request, folder, cell))


def begin(request: SweepRequest) -> Folder:
    """Check a request, and return its folder, which is from then on one of its budget.

    Raises:
        UsageError: The folder holds cells of another budget, or the request does not fit together.
    """
    _check(request)
    folder = Folder(request.out)
    folder.hold_budget(request.budget)
    return folder


def trained_part(request: SweepRequest) -> SweepRequest:
    """Leave out the designs that are not trained with every seed.

    Raises:
        UsageError: The dense twin is one of them, or the folder holds cells of another budget.
    """
    folder, grid = begin(request), request.grid
    missing = frozenset(cell.design for cell in grid.cells if folder.result(cell) is None)
    if Design() in missing:
        seeds = ", ".join(map(str, grid.seeds))
        raise UsageError(
            f"sweep: {request.out} holds no dense twin, which all are compared with",
            received=f"seeds {seeds}",
            next_step="train it, by the same command without --measure-only",
        )
    return replace(request, grid=replace(grid, left_out=missing))


def measure_all(
    request: SweepRequest, tell: Progress = lambda _: None, *, again: bool = False
) -> Swept:
    """Convert every trained cell, measure the files in rounds, and draw the figures.

    Args:
        request: The sweep.
        tell: Called with the name of each step before it starts.
        again: Measure what was measured before, too.

    Raises:
        CheckFailed: A file cannot be proved equal to its network.
        UsageError: ONNX Runtime does not run a file.
    """
    folder, variants = Folder(request.out), request.grid.variants
    for number, variant in enumerate(variants, 1):
        if folder.measurement(variant) is None:
            tell(f"converting {number} of {len(variants)}: {variant.name}")
            folder.write_measurement(variant, convert_variant(request, folder, variant))
    if again:
        _forget_latencies(folder, variants)
    _time_in_rounds(request, folder, tell)
    return _drawn(request, folder)


def _forget_latencies(folder: Folder, variants: Iterable[Variant]) -> None:
    for variant in variants:
        known = present(folder.measurement(variant))
        folder.write_measurement(variant, replace(known, latencies_ms=()))


def _time_in_rounds(request: SweepRequest, folder: Folder, tell: Progress) -> None:
    """Measure each file once a round, so that all of them meet the same machine."""
    variants = request.grid.variants
    known = {variant: present(folder.measurement(variant)) for variant in variants}
    for variant, one in known.items():
        if one.threads != request.bench_threads:
            known[variant] = replace(one, latencies_ms=())
    for number in range(ROUNDS_COUNT):
        for variant in variants:
            if len(known[variant].latencies_ms) <= number:
                tell(f"measuring, round {number + 1} of {ROUNDS_COUNT}: {variant.name}")
                known[variant] = time_variant(request, folder, variant, known[variant])
                folder.write_measurement(variant, known[variant])


def _drawn(request: SweepRequest, folder: Folder) -> Swept:
    from legoexport.sweep import figures  # noqa: PLC0415 - needs the extra [sweep]

    table = rows(folder, request.grid)
    path, caption, threads = request.out, request.caption, request.bench_threads
    drawn = figures.draw_parameters(path, table, caption)
    drawn += figures.draw_deployment(path, table, caption, threads)
    csv_path = path / "table.csv"
    write_csv(csv_path, table)
    return Swept(table, (*drawn, csv_path))


def _check(request: SweepRequest) -> None:
    """Check before hours of training what would stop the sweep after them."""
    if not find_architecture(request.arch).is_lego:
        legal = ", ".join(name for name, each in ARCHITECTURES.items() if each.is_lego)
        raise UsageError("sweep: --arch names a LegoNet", received=request.arch, legal=legal)
    _ = request.bench_options  # made here, so that it is refused now if at all
    for design in request.grid.designs[1:]:
        with torch.device("meta"):
            build(arch_of(request, design), **design.hyperparameters)
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("the figures need matplotlib", next_step="pip install 'legoexport[sweep]'")

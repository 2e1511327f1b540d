"""What commands print: tables and progress for people, plain text for pipes, JSON for scripts."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

WIDEST_TABLE = 10_000
DECIMAL_UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; columns that hold only numbers, units and dashes are set flush right.

    On a terminal the table is drawn by rich; elsewhere it is aligned text without any box, colour
    or line wrapping.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    flush_right = [_is_numeric([row[i] for row in cells]) for i in range(len(columns))]
    # A terminal too narrow for the table gets the plain one: wrapped is readable, cropped is not.
    if not (sys.stdout.isatty() and _print_rich(title, columns, cells, flush_right)):
        _print_plain(title, columns, cells, flush_right)


def print_json(value: object) -> None:
    """Print ``value`` as JSON; NaN and infinite numbers are an error, as JSON has none."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_text(text: str) -> None:
    """Print a line or a paragraph as it is."""
    sys.stdout.write(text + "\n")


@contextlib.contextmanager
def step_progress() -> Iterator[Callable[[str], None]]:
    """Show the step under way on stderr while the block runs, if that is a terminal."""
    # Not Console(stderr=True): torch's exporter is kept quiet by replacing sys.stderr meanwhile.
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("starting") as status:
        yield status.update


def format_bytes(size_bytes: float) -> str:
    """Return a size such as ``14.9 MB``, in powers of ten."""
    return _scaled(size_bytes, "B")


def format_count(count: float) -> str:
    """Return a count such as ``3.69 M``, in powers of ten."""
    return _scaled(count, "").rstrip()


def format_ratio(ratio: float) -> str:
    """Return a ratio such as ``2.03x``."""
    return f"{ratio:.2f}x"


def _scaled(number: float, unit: str) -> str:
    for factor, prefix in DECIMAL_UNITS:
        if abs(number) >= factor:
            return f"{number / factor:.3g} {prefix}{unit}"
    return f"{number:g} {unit}"


def _is_numeric(cells: Sequence[str]) -> bool:
    return all(cell[:1].isdigit() or cell[:1] in "-+<" for cell in cells if cell)


def _print_rich(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    flush_right: Sequence[bool],
) -> bool:
    """Print the table if the terminal is wide enough for it; return whether it was."""
    table = Table(title=title, title_justify="left")
    for column, right in zip(columns, flush_right, strict=True):
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console()
    unbounded = console.options.update(width=WIDEST_TABLE)
    fits = Measurement.get(console, unbounded, table).maximum <= console.width
    if fits:
        console.print(table)
    return fits


def _print_plain(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    flush_right: Sequence[bool],
) -> None:
    lines = [list(columns), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    print_text(title)
    for line in lines:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, flush_right, strict=True)
        ]
        print_text("  ".join(padded).rstrip())

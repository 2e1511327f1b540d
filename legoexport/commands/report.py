"""``legoexport report``: one HTML file about a converted network, or about two conversions."""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from legoexport.commands.checkpoint_options import checkpoint_options, load_checkpoint
from legoexport.commands.output_options import force_option
from legoexport.commands.picture_options import SOURCES, picture_options
from legoexport.commands.quantities import Seconds
from legoexport.commands.thread_options import THREADS
from legoexport.commands.verify import open_both, real_images, two_files
from legoexport.commands.verify_cost import images_to_judge
from legoexport.errors import ParityFailed, UsageError
from legoexport.host.atomic import write_bytes
from legoexport.host.kinds import Kind
from legoexport.host.machine import describe
from legoexport.host.outputs import Output, check_outputs
from legoexport.host.report import print_text, step_progress
from legoexport.measure.options import DEFAULT_DURATION_S, BenchOptions

if TYPE_CHECKING:
    from legoexport.models.checkpoint import Checkpoint
    from legoexport.report.facts import Commands, Facts

LIBRARIES = ("jinja2", "matplotlib")


@click.command("report")
@click.argument("files", nargs=-1, metavar="CHECKPOINT MODEL.onnx", type=click.Path(path_type=Path))
@checkpoint_options
@click.option(
    "--vs",
    "other",
    type=click.Path(path_type=Path),
    metavar="DENSE.onnx",
    help="Measure this file in turns with the dense network, as bench does.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Also check real images, count the right answers, and tell what int8 costs, or weights in"
    f" fewer bits: {SOURCES}.",
)
@picture_options
@click.option(
    "--threads",
    type=THREADS,
    show_default="one per physical core",
    help="Intra-op threads of ONNX Runtime.",
)
@click.option(
    "--duration",
    default=DEFAULT_DURATION_S,
    type=Seconds(min=0, min_open=True),
    metavar="S",
    help="Seconds to measure each model.",
)
@click.option(
    "--converted",
    "converted_path",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="What convert --json printed of MODEL.onnx: without --data, what rounding costs"
    " comes from it.",
)
@click.option(
    "--compare",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="A.json B.json",
    help="Instead, put two conversions side by side: what convert --json printed of each.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="The report.",
)
@force_option
def command(
    files: tuple[Path, ...],
    arch: str | None,
    settings: tuple[str, ...],
    factory: str | None,
    input_size: tuple[int, int] | None,
    other: Path | None,
    data: Path | None,
    threads: int | None,
    duration: float,
    converted_path: Path | None,
    compare: tuple[Path, Path] | None,
    out: Path,
    *,
    force: bool,
) -> None:
    """Check, count and measure MODEL.onnx, and write it all into one HTML file.

    The file loads nothing, so it can be mailed, printed and kept. It holds what verify, inspect and
    bench find, pictures of masks, banks, errors, time and partitions, and the commands that give
    the numbers again. With --compare, two conversions stand side by side, from what convert --json
    printed. The exit code is 1, and the report says so, if the file fails its check.
    """
    _check_libraries()
    if compare is not None:
        if files or other or data or converted_path:
            raise UsageError(
                "--compare is about two conversions",
                legal="report --compare A.json B.json --out FILE",
            )
        _compare(*compare, out, force=force)
        return
    legal = "report CHECKPOINT MODEL.onnx --out FILE.html"
    checkpoint, model = two_files(files, "a report is about two files", legal)
    inputs = {"CHECKPOINT": checkpoint, "MODEL": model, "--vs": other, "--data": data}
    inputs |= {"--converted": converted_path}
    check_outputs([Output("--out", out, Kind.TEXT)], inputs, force=force)
    threads = threads or describe().default_threads
    options = BenchOptions(threads, duration_s=duration, profile=True)
    load = partial(load_checkpoint, checkpoint, arch, settings, factory)
    facts = _gather(load, input_size, model, other, data, options, converted_path)
    _write(facts, out)


def _compare(a: Path, b: Path, out: Path, *, force: bool) -> None:
    from legoexport.report.compare import comparison_verdict, render_comparison
    from legoexport.report.converted import read_converted

    inputs = {"--compare A": a, "--compare B": b}
    check_outputs([Output("--out", out, Kind.TEXT)], inputs, force=force)
    pair = read_converted(a), read_converted(b)
    again = _typed("report", "--compare", a, b, "--out", "report.html")
    write_bytes(out, render_comparison(pair, again))
    print_text(comparison_verdict(*pair))
    print_text(f"wrote {out}")


def _check_libraries() -> None:
    """Look before minutes of work for what would stop them at their end."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"a report needs {' and '.join(missing)}",
            next_step="pip install 'legoexport[report]'",
        )


def _gather(
    load: Callable[..., Checkpoint],
    input_size: tuple[int, int] | None,
    model: Path,
    other: Path | None,
    data: Path | None,
    options: BenchOptions,
    converted_path: Path | None,
) -> Facts:
    from legoexport.report.converted import read_converted
    from legoexport.report.gather import Request, gather
    from legoexport.report.twin import gives_the_same

    converted = read_converted(converted_path) if converted_path else None
    with step_progress() as progress:
        checkpoint, opened = open_both(load, input_size, model, options.threads, progress)
        images = real_images(data, checkpoint, opened)
        judging = images_to_judge(data, checkpoint, opened, images)
        twin = other if judging and other and gives_the_same(other, opened) else None
        commands = _commands(checkpoint.path, model, other, data, options, converted_path, twin)
        inputs = None if images is None else images.inputs
        files = (checkpoint, opened, model, other, inputs)
        return gather(Request(*files, options, commands, judging, twin, converted), progress)


def _commands(
    checkpoint: Path,
    model: Path,
    other: Path | None,
    data: Path | None,
    options: BenchOptions,
    converted: Path | None = None,
    twin: Path | None = None,
) -> Commands:
    from legoexport.report.facts import Commands

    described = _described()
    given = ["--data", data] if data else []
    beside = ["--vs", other] if other else []
    told = ["--converted", converted] if converted else []
    how = ["--threads", options.threads, "--duration", f"{options.duration_s:g}"]
    pair = [checkpoint, model, *described]
    report = _typed("report", *pair, *beside, *given, *told, *how, "--out", "report.html")
    shown = ["--dense-twin", twin] if twin else []
    cost = _typed("verify", *pair, *given, *shown, "--threads", options.threads)
    return Commands(
        report=report,
        precision=cost if data else report,
        verify=_typed("verify", *pair, *given, "--threads", options.threads, "--per-layer"),
        inspect=_typed("inspect", model),
        bench=_typed("bench", model, *beside, *how, "--profile"),
    )


def _described() -> list[str]:
    """Return the options of this call that say what the checkpoint and the pictures are."""
    context = click.get_current_context()
    params, meta = context.params, context.meta
    named = {"--arch": params["arch"], "--model": params["factory"]}
    named |= {f"--{name}": meta.get(f"legoexport.{name}") for name in ("weights", "mean", "std")}
    words = [word for option, value in named.items() if value for word in (option, value)]
    words += [word for setting in params["settings"] for word in ("--set", setting)]
    size = params["input_size"]
    return [*words, *(["--input-size", *map(str, size)] if size else [])]


def _typed(*words: object) -> str:
    return shlex.join(["legoexport", *map(str, words)])


def _write(facts: Facts, out: Path) -> None:
    from legoexport.report.page import render, verdict

    write_bytes(out, render(facts))
    print_text(verdict(facts))
    print_text(f"wrote {out}")
    if not facts.verification.passed:
        raise ParityFailed("\n".join(["the model fails its check", *facts.verification.diagnosis]))

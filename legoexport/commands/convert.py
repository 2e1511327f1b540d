"""``legoexport convert``: a checkpoint becomes a proven ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from legoexport.atomic import check_writable, write_bytes
from legoexport.commands.checkpoint_options import checkpoint_options, load_checkpoint
from legoexport.errors import UsageError
from legoexport.report import step_progress
from legoexport.runtimes import HERE, find_runtime
from legoexport.target import TARGETS, find_target

if TYPE_CHECKING:
    from legoexport.stages import CompileOptions
    from legoexport.tune import TuneOptions

SIZE_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}


@click.command("convert")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The ONNX file to write."
)
@checkpoint_options
@click.option("--batch", default="dynamic", metavar="dynamic|N", help="Open or fixed batch.")
@click.option("--opset", type=int, help="ONNX opset; the target's unless given.")
@click.option("--target", "target_name", default="cpu", help=f"One of: {', '.join(TARGETS)}.")
@click.option(
    "--plan", "plan_file", type=click.Path(path_type=Path), help="Lowering per layer, JSON."
)
@click.option("--save-plan", type=click.Path(path_type=Path), help="Write the plan that was used.")
@click.option(
    "--save-stages", type=click.Path(path_type=Path), help="Folder for the model after each pass."
)
@click.option("--max-size", metavar="SIZE", help="Fail if the file is larger, such as 4MB.")
@click.option(
    "--dense-twin",
    type=click.Path(path_type=Path),
    help="Also write the same function as a dense network.",
)
@click.option("--tune", is_flag=True, help="Measure lowerings here and take the fastest plan.")
@click.option("--threads", default="1", metavar="N[,N]", help="Thread counts that --tune serves.")
@click.option("--budget", default=60.0, metavar="SECONDS", help="Time --tune may measure; 60.")
@click.option(
    "--runtime",
    default=HERE,
    metavar="NAME",
    help="Where --tune measures: cpu, or as bench --runtime has it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    checkpoint: Path,
    out: Path,
    arch: str | None,
    settings: tuple[str, ...],
    factory: str | None,
    input_size: tuple[int, int] | None,
    batch: str,
    opset: int | None,
    target_name: str,
    plan_file: Path | None,
    save_plan: Path | None,
    save_stages: Path | None,
    max_size: str | None,
    dense_twin: Path | None,
    threads: str,
    budget: float,
    runtime: str,
    *,
    tune: bool,
    as_json: bool,
) -> None:
    """Convert CHECKPOINT to standard ONNX, prove it equal to PyTorch, and write it.

    Takes legoexport checkpoints, state_dicts and pickled models of the published LegoNet code, and
    safetensors files; nothing in them is executed.
    """
    batch_size = _batch(batch)
    max_size_bytes = None if max_size is None else _size_bytes(max_size)
    tuning = _tuning(threads, budget, runtime, plan_file) if tune else None
    options = _options(target_name, opset, batch_size, plan_file)
    for path in (out, save_plan, dense_twin):
        check_writable(path)

    from legoexport import convert as stages
    from legoexport.commands.summary import print_summary

    with step_progress() as progress:
        progress("reading the checkpoint")
        loaded = load_checkpoint(checkpoint, arch, settings, factory, input_size)
        example = stages.example_input(loaded.input_shape, batch_size or 1)
        conversion = stages.convert_module(
            loaded.module,
            example,
            options,
            checkpoint_sha256=loaded.sha256,
            max_size_bytes=max_size_bytes,
            tuning=tuning,
            observe=stages.save_stages(save_stages) if save_stages else None,
            progress=progress,
        )
        progress("building the dense twin")
        twin_bytes = stages.convert_dense_twin(loaded.module, example, options)
    stages.write(conversion, out)
    if dense_twin:
        write_bytes(dense_twin, twin_bytes)
    if save_plan:
        write_bytes(save_plan, conversion.compiled.plan.to_json().encode())
    print_summary(conversion, loaded, out, dense_twin_bytes=len(twin_bytes), as_json=as_json)


def _options(
    target_name: str, opset: int | None, batch_size: int | None, plan_file: Path | None
) -> CompileOptions:
    from legoexport.passes.plan import Plan
    from legoexport.stages import CompileOptions

    plan = None
    if plan_file is not None:
        plan = Plan.from_json(_read_text(plan_file), source=str(plan_file))
    return CompileOptions(find_target(target_name), opset, batch_size is None, plan)


def _tuning(threads: str, budget: float, runtime: str, plan_file: Path | None) -> TuneOptions:
    if plan_file is not None:
        raise UsageError("--tune finds a plan; --plan gives one", next_step="leave one out")
    from legoexport.tune import TuneOptions

    try:
        counts = tuple(int(count) for count in threads.split(","))
    except ValueError:
        raise UsageError("--threads", received=threads, legal="such as 1 or 1,4") from None
    find_runtime(runtime)
    return TuneOptions(counts, budget, runtime)


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}", received=error) from None


def _batch(text: str) -> int | None:
    if text == "dynamic":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError("--batch", received=text, legal="dynamic, or a number from 1 on")
    return int(text)


def _size_bytes(text: str) -> int:
    number = text.rstrip("BKMGbkmg")
    unit = text[len(number) :].upper()
    try:
        return int(float(number) * SIZE_UNITS[unit])
    except (ValueError, KeyError):
        legal = "a number with B, KB, MB or GB, such as 4MB"
        raise UsageError("--max-size", received=text, legal=legal) from None

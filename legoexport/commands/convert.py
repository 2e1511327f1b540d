"""``legoexport convert``: a checkpoint becomes a proven ONNX file, or one in ORT format."""

from __future__ import annotations

from pathlib import Path

import click

from legoexport.commands import convert_options as parse
from legoexport.commands.checkpoint_options import checkpoint_options, load_checkpoint
from legoexport.commands.convert_outputs import machine_file, readable
from legoexport.commands.convert_outputs import outputs as planned_outputs
from legoexport.commands.ends_options import ends_options, with_ends
from legoexport.commands.int8_options import check_max_drop, check_precision
from legoexport.commands.int8_options import images as read_images
from legoexport.commands.output_options import force_option
from legoexport.commands.picture_options import SOURCES, picture_normalization, picture_options
from legoexport.commands.shape_options import check_shapes, example_of, shape_option
from legoexport.host.atomic import write_bytes
from legoexport.host.outputs import check_outputs
from legoexport.host.report import step_progress
from legoexport.host.standard_output import writer_of
from legoexport.lego.scales import PRECISIONS, Precision
from legoexport.lego.storage import STORES, Store
from legoexport.quantize.calibrators import METHODS, Method
from legoexport.runtimes import HERE
from legoexport.target import OBJECTIVES, TARGETS, find_target


@click.command("convert")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The file to write: .onnx, or .ort for ORT format; - for ONNX to standard output.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(parse.FORMATS),
    show_default="by the name of the file",
    help="Format of the file.",
)
@checkpoint_options
@shape_option
@ends_options
@click.option(
    "--batch",
    metavar="dynamic|N",
    show_default="as the target has it",
    help="Leave the batch open, or fix it.",
)
@click.option("--opset", type=int, show_default="the target's", help="ONNX opset.")
@click.option("--target", "target_name", default="cpu", help=f"One of: {', '.join(TARGETS)}.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    help="JSON file that names the lowering of each layer.",
)
@click.option(
    "--prefer",
    metavar="LOWERING",
    help="Use this lowering in every layer that it serves; see targets.",
)
@click.option("--save-plan", type=click.Path(path_type=Path), help="Write the plan that was used.")
@click.option(
    "--save-stages",
    type=click.Path(path_type=Path),
    help="Folder to write the model to after each pass.",
)
@click.option("--max-size", metavar="SIZE", help="Fail if the file is larger, such as 4MB.")
@click.option(
    "--dense-twin",
    type=click.Path(path_type=Path),
    help="Also write the same function as a dense network.",
)
@click.option(
    "--objective",
    default="latency",
    type=click.Choice(OBJECTIVES),
    help="What the plan saves: latency, memory after load, or size of the file.",
)
@click.option(
    "--machine",
    metavar="FILE|built-in",
    show_default="as measured on this processor, else built-in",
    help="Constants of the cost model that chooses the plan, from legoexport calibrate.",
)
@click.option(
    "--store",
    default="fp32",
    type=click.Choice(STORES),
    help="What the file holds of banks and dense weights; they are computed in fp32 always.",
)
@click.option(
    "--precision",
    default="fp32",
    type=click.Choice(PRECISIONS),
    help="What the file computes in; int8 needs --data to calibrate with.",
)
@click.option(
    "--calibration",
    default="minmax",
    type=click.Choice(METHODS),
    help="How int8 chooses the ranges of activations from what the images gave.",
)
@click.option(
    "--max-drop",
    type=float,
    metavar="POINTS",
    help="How many percentage points of accuracy int8 may lose on --data; layers go back to float"
    " until it holds. Without labels, how many images may get another class.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Real images, to tell what --store costs, or to calibrate int8 with some and judge it on"
    f" others: {SOURCES}.",
)
@picture_options
@click.option("--tune", is_flag=True, help="Measure plans here and take the fastest.")
@click.option(
    "--threads", default="1", metavar="N[,N]", help="Thread counts to choose the plan for."
)
@click.option("--budget", default=60.0, metavar="SECONDS", help="Time that --tune may take.")
@click.option(
    "--runtime",
    default=HERE,
    metavar="NAME",
    help="Where --tune measures, as for bench --runtime.",
)
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(
    checkpoint: Path,
    out: Path,
    file_format: str | None,
    arch: str | None,
    settings: tuple[str, ...],
    factory: str | None,
    input_size: tuple[int, int] | None,
    batch: str | None,
    opset: int | None,
    target_name: str,
    plan_file: Path | None,
    prefer: str | None,
    save_plan: Path | None,
    save_stages: Path | None,
    max_size: str | None,
    dense_twin: Path | None,
    objective: str,
    machine: str | None,
    store: Store,
    precision: Precision,
    calibration: Method,
    max_drop: float | None,
    data: Path | None,
    threads: str,
    budget: float,
    runtime: str,
    *,
    tune: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Convert CHECKPOINT to standard ONNX, prove it equal to PyTorch, and write it.

    It reads legoexport checkpoints, state_dicts and pickled models of the published LegoNet code,
    and safetensors files. Nothing in them is executed.
    """
    as_ort = parse.is_ort(out, file_format)
    check_shapes({"--data": data, "--input-size": input_size}, as_ort=as_ort)
    check_precision(precision, data, find_target(target_name), as_ort=as_ort)
    check_max_drop(max_drop, precision)
    parse.check_store(store, data, precision, as_ort=as_ort)
    max_size_bytes = None if max_size is None else parse.size_bytes(max_size)
    wish = parse.preference(objective, threads, ort_format=as_ort)
    tuning = parse.tuning(wish, budget, runtime, plan_file or prefer) if tune else None
    options = parse.with_constants(
        parse.compile_options(target_name, opset, batch, plan_file, prefer, wish, store, precision),
        machine,
    )
    inputs = {
        "CHECKPOINT": checkpoint,
        "--plan": plan_file,
        "--data": data,
        "--machine": machine_file(machine),
    }
    written = planned_outputs(out, save_plan, dense_twin, save_stages, as_ort=as_ort)
    check_outputs(written, inputs, force=force)
    write = click.get_current_context().with_resource(writer_of(out))

    from legoexport.commands.outcome_view import Outcome
    from legoexport.commands.summary import print_summary
    from legoexport.deliver import packaging
    from legoexport.deliver.convert import convert_module, stage_writer
    from legoexport.measure.memory import measure_memory

    with step_progress() as progress:
        progress("reading the checkpoint")
        loaded = load_checkpoint(checkpoint, arch, settings, factory, input_size)
        options = with_ends(options, loaded)
        count = parse.batch_size(batch) or 1
        example = example_of(loaded, count)
        fixed = None if options.final_dynamic_batch else count
        calibrate, judging = read_images(
            data, loaded.image_shape, fixed, picture_normalization(loaded), options, calibration
        )
        conversion = convert_module(
            loaded.module,
            example,
            options,
            checkpoint_sha256=loaded.sha256,
            normalization=loaded.normalization or picture_normalization(loaded),
            class_names=loaded.class_names,
            max_size_bytes=None if as_ort else max_size_bytes,
            tuning=tuning,
            data=judging,
            calibrate=calibrate,
            max_drop_points=max_drop,
            dense_twin=dense_twin is not None,
            observe=stage_writer(save_stages) if save_stages else None,
            progress=progress,
        )
        packed = None
        if as_ort:
            progress("converting to ORT format")
            target = options.target
            packed = packaging.package(
                loaded.module, conversion, loaded.input_shape, target, max_size_bytes
            )
    if packed:
        packaging.write(packed, out)
    else:
        write(conversion.model_bytes)
    if dense_twin and conversion.dense_twin:
        write_bytes(dense_twin, conversion.dense_twin)
    if save_plan:
        write_bytes(save_plan, conversion.compiled.plan.to_json().encode())
    with step_progress() as progress:
        progress("measuring memory")
        size = parse.batch_size(batch) or 1
        with readable(out, conversion.model_bytes) as file:
            memory = measure_memory(file, size)
        twin = measure_memory(dense_twin, size) if dense_twin else None
    outcome = Outcome(conversion, loaded, options, out, packed, memory, dense_twin, twin)
    print_summary(outcome, as_json=as_json)

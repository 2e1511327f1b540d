"""The options of ``legoexport convert``, in the order of its help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from legoexport.commands.checkpoint_options import checkpoint_options
from legoexport.commands.convert_options import DEFAULT_BUDGET_S, FORMATS
from legoexport.commands.ends_options import ends_options
from legoexport.commands.output_options import force_option
from legoexport.commands.picture_options import SOURCES, picture_options
from legoexport.commands.shape_options import shape_option
from legoexport.lego.scales import PRECISIONS
from legoexport.lego.storage import STORES
from legoexport.quantize.calibrators import DEFAULT_METHOD, METHODS
from legoexport.runtimes import HERE
from legoexport.target import OBJECTIVES, TARGETS

Command = Callable[..., Any]

# What is read, and what is written.
FILES = (
    click.argument("checkpoint", type=click.Path(path_type=Path)),
    click.option(
        "--out",
        required=True,
        type=click.Path(path_type=Path),
        help="The file to write: .onnx, or .ort for ORT format; - for ONNX to standard output.",
    ),
    click.option(
        "--format",
        "file_format",
        type=click.Choice(FORMATS),
        show_default="by the name of the file",
        help="Format of the file.",
    ),
)
# What the file is compiled for, and which lowerings it takes.
COMPILING = (
    click.option(
        "--batch",
        metavar="dynamic|N",
        show_default="as the target has it",
        help="Leave the batch open, or fix it.",
    ),
    click.option("--opset", type=int, show_default="the target's", help="ONNX opset."),
    click.option("--target", "target_name", default="cpu", help=f"One of: {', '.join(TARGETS)}."),
    click.option(
        "--plan",
        "plan_file",
        type=click.Path(path_type=Path),
        help="JSON file that names the lowering of each layer.",
    ),
    click.option(
        "--prefer",
        metavar="LOWERING",
        help="Use this lowering in every layer that it serves; see targets.",
    ),
)
# What is written beside it, and how large it may be.
OUTPUTS = (
    click.option(
        "--save-plan", type=click.Path(path_type=Path), help="Write the plan that was used."
    ),
    click.option(
        "--save-stages",
        type=click.Path(path_type=Path),
        help="Folder to write the model to after each pass.",
    ),
    click.option("--max-size", metavar="SIZE", help="Fail if the file is larger, such as 4MB."),
    click.option(
        "--dense-twin",
        type=click.Path(path_type=Path),
        help="Also write the same function as a dense network.",
    ),
)
# What the plan is to save.
COST = (
    click.option(
        "--objective",
        default="latency",
        type=click.Choice(OBJECTIVES),
        help="What the plan saves: latency, memory after load, or size of the file.",
    ),
    click.option(
        "--machine",
        metavar="FILE|built-in",
        show_default="as measured on this processor, else built-in",
        help="Constants of the cost model that chooses the plan, from legoexport calibrate.",
    ),
)
# What weights and activations are rounded to.
ROUNDING = (
    click.option(
        "--store",
        default="fp32",
        type=click.Choice(STORES),
        help="What the file holds of banks and dense weights; they are computed in fp32 always.",
    ),
    click.option(
        "--precision",
        default="fp32",
        type=click.Choice(PRECISIONS),
        help="What the file computes in; int8 needs --data to calibrate with.",
    ),
    click.option(
        "--calibration",
        type=click.Choice(METHODS),
        show_default=DEFAULT_METHOD,
        help="How int8 chooses the ranges of activations from what the images gave.",
    ),
    click.option(
        "--max-drop",
        type=float,
        metavar="POINTS",
        help="How many percentage points of accuracy int8 may lose on --data; layers go back to"
        " float until it holds. Without labels, how many images may get another class.",
    ),
    click.option(
        "--data",
        type=click.Path(path_type=Path),
        help="Real images, to tell what --store costs, or to calibrate int8 with some and judge it"
        f" on others: {SOURCES}.",
    ),
)
# How plans are measured.
TUNING = (
    click.option("--tune", is_flag=True, help="Measure plans here and take the fastest."),
    click.option(
        "--threads", default="1", metavar="N[,N]", help="Thread counts to choose the plan for."
    ),
    click.option(
        "--budget",
        type=float,
        metavar="SECONDS",
        show_default=f"{DEFAULT_BUDGET_S:.0f}",
        help="Time that --tune may take.",
    ),
    click.option(
        "--runtime",
        metavar="NAME",
        show_default=HERE,
        help="Where --tune measures, as for bench --runtime.",
    ),
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")


def convert_flags(command: Command) -> Command:
    """Add every option of ``convert``; ``ConvertRequest`` has an attribute for each value."""
    network = (checkpoint_options, shape_option, ends_options)
    files = (*FILES, *network, *COMPILING, *OUTPUTS)
    numbers = (*COST, *ROUNDING, picture_options, *TUNING)
    for option in reversed((*files, *numbers, force_option, JSON)):
        command = option(command)
    return command

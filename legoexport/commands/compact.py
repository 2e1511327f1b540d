"""``legoexport compact``: take back what a simplifier folded."""

from __future__ import annotations

from pathlib import Path

import click

from legoexport.commands.output_options import force_option
from legoexport.host.kinds import Kind
from legoexport.host.outputs import Output, check_outputs
from legoexport.host.reading import read_bytes
from legoexport.host.report import format_bytes, print_json, print_text
from legoexport.host.standard_output import writer_of


@click.command("compact")
@click.argument("folded", type=click.Path(path_type=Path))
@click.option(
    "--like",
    required=True,
    type=click.Path(path_type=Path),
    metavar="MODEL.onnx",
    help="The file that convert wrote and the tool was given.",
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="File to write; - for stdout."
)
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(folded: Path, like: Path, out: Path, *, force: bool, as_json: bool) -> None:
    """Make FOLDED small again: store its banks once, and compute its weights from them.

    onnxsim, onnxslim and the like store every weight that convert leaves to be computed when the
    file is loaded, and so double it. Everything else that they did stays. The file is written only
    if its weights and outputs equal those of FOLDED, to the bit.
    """
    outputs = [Output("--out", out, Kind.ONNX, streams=True)]
    check_outputs(outputs, {"FOLDED": folded, "--like": like}, force=force)
    write = click.get_current_context().with_resource(writer_of(out))

    from legoexport.deliver.compact import compact

    made = compact(read_bytes(folded), read_bytes(like))
    write(made.model_bytes)
    if as_json:
        print_json(
            {
                "folded_size_bytes": made.folded_size_bytes,
                "size_bytes": len(made.model_bytes),
                "unfolded": list(made.unfolded),
                "out": str(out),
            }
        )
        return
    sizes = (format_bytes(made.folded_size_bytes), format_bytes(len(made.model_bytes)))
    print_text(f"{len(made.unfolded)} weights are computed again, each equal to the bit")
    print_text(f"wrote {out}: {sizes[1]} instead of {sizes[0]}, outputs equal to the bit")

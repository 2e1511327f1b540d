"""``legoexport compact``: what another tool has folded, back to the size of the converted file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from legoexport.commands.output_options import force_option
from legoexport.host.kinds import Kind
from legoexport.host.outputs import Output, check_outputs
from legoexport.host.report import format_bytes, print_json, print_text, step_progress
from legoexport.host.standard_output import writer_of

if TYPE_CHECKING:
    from legoexport.deliver.compact import Compacted


@click.command("compact")
@click.argument("folded", type=click.Path(path_type=Path))
@click.option(
    "--like",
    required=True,
    type=click.Path(path_type=Path),
    metavar="MODEL.onnx",
    help="The converted file that the tool was given.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The ONNX file to write; - is standard output.",
)
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(folded: Path, like: Path, out: Path, *, force: bool, as_json: bool) -> None:
    """Bring FOLDED, which a tool made of a converted file, back to that file's size.

    Simplifiers and offline optimizers fold constants: they store each expanded weight in the place
    of the bank that it is computed from. Weights that the converted file computes to the bit are
    computed again; all else stays as the tool left it. The file is written only if its outputs
    equal those of FOLDED to the bit.

    The exit code is 1 if a check fails, and 2 if FOLDED was not made of MODEL.onnx or if nothing
    in it is folded.
    """
    outputs = [Output("--out", out, Kind.ONNX, streams=True)]
    check_outputs(outputs, {"FOLDED": folded, "--like": like}, force=force)
    from legoexport.deliver.compact import compact
    from legoexport.deliver.folded_pair import FoldedPair, Given

    with step_progress() as progress:
        progress("reading the files")
        done = compact(FoldedPair(Given.read(folded), Given.read(like)), progress)
    with writer_of(out) as write:
        write(done.model_bytes)
        if as_json:
            print_json({"model": str(out), **done.to_json()})
        else:
            _print(done, out)


def _print(done: Compacted, out: Path) -> None:
    print_text(f"rebuilt  {len(done.rebuilt)} weights, each equal to the bit to the folded one")
    for name, why in done.left.items():
        print_text(f"left     {name}, folded as it is: {why}")
    if done.restored:
        print_text(f"metadata {len(done.restored)} entries restored: {', '.join(done.restored)}")
    print_text(f"proved   outputs equal to the bit on {done.inputs_count} inputs")
    before, after = map(format_bytes, (done.folded_size_bytes, done.size_bytes))
    print_text(f"wrote    {out}: {after}, {before} folded")

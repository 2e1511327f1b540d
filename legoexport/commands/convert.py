"""``legoexport convert``: a checkpoint becomes a proven ONNX file, or one in ORT format."""

from __future__ import annotations

from typing import Any

import click

from legoexport.commands.convert_checks import check
from legoexport.commands.convert_flags import convert_flags
from legoexport.commands.convert_request import ConvertRequest
from legoexport.host.standard_output import writer_of


@click.command("convert")
@convert_flags
def command(**options: Any) -> None:
    """Convert CHECKPOINT to standard ONNX, prove it equal to PyTorch, and write it.

    It reads legoexport checkpoints, state_dicts and pickled models of the published LegoNet code,
    and safetensors files. Nothing in them is executed.
    """
    request = ConvertRequest(**options)
    checked = check(request)
    write_out = click.get_current_context().with_resource(writer_of(request.out))

    from legoexport.commands.convert_steps import carry_out
    from legoexport.commands.summary import print_summary

    outcome = carry_out(request, checked, write_out)
    print_summary(outcome, as_json=request.as_json)

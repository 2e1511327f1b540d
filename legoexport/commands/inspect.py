"""``legoexport inspect``: what the Lego layers of a checkpoint, file or architecture cost."""

from __future__ import annotations

from pathlib import Path

import click

from legoexport.commands.checkpoint_options import (
    checkpoint_options,
    load_checkpoint,
    parse_settings,
)
from legoexport.errors import UsageError
from legoexport.host.report import print_json, print_table
from legoexport.inspect import view
from legoexport.inspect.inventory import Inventory


@click.command("inspect")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@checkpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(
    file: Path | None,
    arch: str | None,
    settings: tuple[str, ...],
    factory: str | None,
    input_size: tuple[int, int] | None,
    *,
    as_json: bool,
) -> None:
    """Count parameters, multiply-adds and bytes of FILE, layer by layer, beside its dense twin.

    FILE is a checkpoint or a converted .onnx file. Without it, --arch alone shows an architecture;
    its masks are then taken to use every filter.
    """
    if file is None:
        inventory = _of_architecture(arch, settings, factory, input_size)
    elif file.suffix.lower() == ".onnx":
        inventory = _of_model(file, given=bool(arch or settings or factory or input_size))
    else:
        inventory = _of_checkpoint(file, arch, settings, factory, input_size)
    if as_json:
        print_json(view.as_json(inventory))
        return
    for title, columns, rows in view.tables(inventory):
        print_table(title, columns, rows)


def _of_architecture(
    arch: str | None,
    settings: tuple[str, ...],
    factory: str | None,
    input_size: tuple[int, int] | None,
) -> Inventory:
    if arch is None or factory is not None:
        legal = "a checkpoint, an .onnx file, or --arch NAME"
        raise UsageError("there is nothing to inspect", legal=legal)
    import torch

    from legoexport.inspect.inventory_torch import summarize_module
    from legoexport.models.registry import build, input_shape

    hyperparameters = parse_settings(settings)
    channels, *own_size = input_shape(arch, hyperparameters)
    try:
        with torch.device("meta"):
            module = build(arch, **hyperparameters)
    except (ArithmeticError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{arch} cannot be built at this size", received=reason) from error
    height, width = input_size or own_size
    return summarize_module(module, (channels, height, width), masks_settled=False)


def _of_model(path: Path, *, given: bool) -> Inventory:
    if given:
        raise UsageError(
            "--arch, --set, --model and --input-size describe a checkpoint",
            received=path,
            next_step="leave them out: an .onnx file describes itself",
        )
    from legoexport.inspect.inventory_onnx import load_model, summarize_model
    from legoexport.inspect.layer_partitions import place_layers

    model = load_model(path)
    return place_layers(summarize_model(model), model.SerializeToString())


def _of_checkpoint(
    path: Path,
    arch: str | None,
    settings: tuple[str, ...],
    factory: str | None,
    input_size: tuple[int, int] | None,
) -> Inventory:
    checkpoint = load_checkpoint(path, arch, settings, factory, input_size)
    from legoexport.inspect.inventory_torch import summarize_module

    return summarize_module(checkpoint.module, checkpoint.input_shape)

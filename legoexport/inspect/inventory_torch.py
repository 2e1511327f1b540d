"""Inventory of a torch network: what a converted file would hold, and where each layer stands."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor, nn

from legoexport.compile.freeze import audit_layer
from legoexport.errors import UsageError
from legoexport.inspect.inventory import DensePart, Inventory, LayerRow, StoredBytes
from legoexport.lego.counts import FLOAT_BYTES, INDEX_BYTES, LegoShape, count
from legoexport.lego.names import call_name
from legoexport.models.lego_conv import LegoConv2d


@dataclass(frozen=True)
class Call:
    """One call of a layer that multiplies.

    Attributes:
        layer: The layer.
        input_shape: Shape of what went in, batch first.
        output_shape: Shape of what came out, batch first.
    """

    layer: nn.Module
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


def summarize_module(
    module: nn.Module, input_shape: tuple[int, int, int], *, masks_settled: bool = True
) -> Inventory:
    """Take the inventory of a network in training form; it is left as it is.

    Multiply-adds outside Lego layers are those of its Conv2d and Linear modules.

    Args:
        module: A network with LegoConv2d layers that maps one tensor to one tensor.
        input_shape: ``(channels, height, width)`` of its input.
        masks_settled: Whether the masks are trained. If not, each layer is taken to use as many
            filters and pairs as it can, and no ties are counted.

    Raises:
        UsageError: The network has no Lego layer, or does not run on an input of that shape.
    """
    network = copy.deepcopy(module).eval()
    names = {id(layer): name for name, layer in network.named_modules()}
    calls = _trace(network, input_shape)
    rows = tuple(_rows(calls, names, masks_settled=masks_settled))
    if not rows:
        raise UsageError("the network runs no Lego layer", received=type(module).__name__)
    dense = DensePart(_dense_weights(network), sum(map(_dense_macs, calls)))
    return Inventory(rows, dense, _planned_bytes(rows, dense))


def _trace(network: nn.Module, input_shape: tuple[int, int, int]) -> list[Call]:
    calls: list[Call] = []

    def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append(Call(layer, tuple(inputs[0].shape), tuple(output.shape)))

    for layer in network.modules():
        if isinstance(layer, (LegoConv2d, nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(record)
    parameter = next(network.parameters())
    zeros = torch.zeros(1, *input_shape, dtype=parameter.dtype, device=parameter.device)
    try:
        with torch.no_grad():
            network(zeros)
    except Exception as error:  # a network of the user's own may raise anything
        raise UsageError(
            f"the network does not run on an input of shape {input_shape}",
            received=f"{type(error).__name__}: {error}".splitlines()[0],
            next_step="give the size it was made for with --input-size H W",
        ) from error
    return calls


def _rows(calls: list[Call], names: dict[int, str], *, masks_settled: bool) -> Iterator[LayerRow]:
    seen: dict[str, int] = {}
    for call in calls:
        if isinstance(call.layer, LegoConv2d):
            name = names[id(call.layer)]
            seen[name] = seen.get(name, 0) + 1
            label = call_name(name, seen[name])
            shape = _largest_shape(call.layer, call.input_shape)
            if masks_settled:
                ties_count = audit_layer(call.layer, name).ties_count
                yield LayerRow(label, _settled_shape(shape, call.layer), ties_count)
            else:
                yield LayerRow(label, shape)


def _largest_shape(layer: LegoConv2d, input_shape: tuple[int, ...]) -> LegoShape:
    o, n, m = layer.mask_logits.shape
    return LegoShape(
        o=o,
        m=m,
        n=n,
        c=input_shape[1],
        kernel=(layer.lego.shape[2], layer.lego.shape[3]),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        input_size=(input_shape[2], input_shape[3]),
        filters_used=min(m, o * n),
        pairs_used=o * min(m, n),
        has_coefficients=layer.coefficients is not None,
        has_bias=layer.bias is not None,
    )


def _settled_shape(shape: LegoShape, layer: LegoConv2d) -> LegoShape:
    choices = layer.choices().tolist()
    return replace(
        shape,
        filters_used=len({j for row in choices for j in row}),
        pairs_used=sum(len(set(row)) for row in choices),
    )


def _dense_weights(network: nn.Module) -> int:
    lego = [layer for layer in network.modules() if isinstance(layer, LegoConv2d)]
    lego_ids = {id(parameter) for layer in lego for parameter in layer.parameters()}
    return sum(p.numel() for p in network.parameters() if id(p) not in lego_ids)


def _dense_macs(call: Call) -> int:
    if isinstance(call.layer, nn.Conv2d):
        return call.layer.weight.numel() * prod(call.output_shape[2:])
    if isinstance(call.layer, nn.Linear):
        return call.layer.weight.numel() * prod(call.output_shape[1:-1])
    return 0


def _planned_bytes(rows: tuple[LayerRow, ...], dense: DensePart) -> StoredBytes:
    """Add up what the file will store, each shared bank once; coefficients and bias always."""
    shapes = [row.shape for row in rows if not row.repeats]
    banks = sum(shape.filters_used * shape.filter_weights for shape in shapes)
    entries = sum(count(shape).index_entries for shape in shapes)
    biases = sum(shape.n for shape in shapes)
    table_bytes = entries * (INDEX_BYTES + FLOAT_BYTES) + biases * FLOAT_BYTES
    return StoredBytes(banks * FLOAT_BYTES, table_bytes, dense.weights * FLOAT_BYTES)

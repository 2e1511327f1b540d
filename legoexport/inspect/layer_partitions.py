"""Which execution provider runs each Lego layer of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from legoexport.inspect.inventory import Inventory
from legoexport.lego.names import belongs_to
from legoexport.ort.placement import node_providers
from legoexport.ort.providers import short_name


def layer_partitions(placed: Mapping[str, str], layers: Sequence[str]) -> Mapping[str, str]:
    """Return for each Lego layer the provider that runs it; several are joined by ``+``.

    Args:
        placed: Provider by node name, as ``node_providers`` gives it.
        layers: Names of Lego layers.
    """
    partitions = {}
    for layer in layers:
        found = {provider for name, provider in placed.items() if belongs_to(layer, name)}
        partitions[layer] = "+".join(sorted(map(short_name, found)))
    return partitions


def place_layers(inventory: Inventory, model_bytes: bytes) -> Inventory:
    """Return the inventory of a file with the provider that runs each Lego layer here."""
    providers = node_providers(model_bytes, ["CPUExecutionProvider"])
    partitions = layer_partitions(providers, [row.layer for row in inventory.rows])
    rows = tuple(replace(row, partition=partitions[row.layer]) for row in inventory.rows)
    return replace(inventory, rows=rows)

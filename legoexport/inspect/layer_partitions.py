"""Which execution provider runs each Lego layer of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from legoexport.lego.names import belongs_to
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

"""The Lego layers of a converted file, with how much rounding each of their lowerings may show."""

from __future__ import annotations

import onnx

from legoexport.lego.layer_records import LayerRecord, read_layers
from legoexport.passes.lowerings import find_lowering


def read_records(model: onnx.ModelProto) -> tuple[LayerRecord, ...]:
    """Read the layers in the order of the graph; none if legoexport did not write the file.

    Raises:
        UsageError: The metadata is damaged or names values and lowerings that do not exist.
    """
    records = read_layers(model) or ()
    for record in records:
        find_lowering(record.lowering)
    return records


def growth_of(record: LayerRecord) -> float:
    """Return the rounding growth of the layer's lowering."""
    return find_lowering(record.lowering).rounding_growth


def largest_growth(records: tuple[LayerRecord, ...]) -> float:
    """Return the largest rounding growth among the lowerings of the file."""
    return max(map(growth_of, records), default=1.0)

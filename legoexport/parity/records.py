"""Where the Lego layers are in a converted file, as its metadata says."""

from __future__ import annotations

import json
from dataclasses import dataclass

import onnx

from legoexport.compile.stamp import read_stamp
from legoexport.errors import UsageError
from legoexport.passes.lowerings import find_lowering

LAYERS_LEGAL = '[{"layer", "input", "output", "lowering"}, ...] naming values of the graph'


@dataclass(frozen=True)
class LayerRecord:
    """Where a Lego layer is in a converted file, as the file's metadata says.

    Attributes:
        layer: Dotted module name; a second call of the module is ``name#2``.
        input: Name of the value that enters.
        output: Name of the value that leaves.
        lowering: Name of its lowering.
    """

    layer: str
    input: str
    output: str
    lowering: str

    @property
    def rounding_growth(self) -> float:
        """That of its lowering."""
        return find_lowering(self.lowering).rounding_growth


def read_records(model: onnx.ModelProto) -> tuple[LayerRecord, ...]:
    """Read the layers in the order of the graph; none if legoexport did not write the file.

    Raises:
        UsageError: The metadata is damaged or names values and lowerings that do not exist.
    """
    text = read_stamp(model).get("layers")
    if text is None:
        return ()
    try:
        records = tuple(
            LayerRecord(*(str(entry[name]) for name in ("layer", "input", "output", "lowering")))
            for entry in json.loads(text)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "legoexport.layers in the model's metadata is damaged",
            received=repr(error),
            legal=LAYERS_LEGAL,
            next_step="convert the checkpoint again",
        ) from None
    present = {name for node in model.graph.node for name in node.output}
    present |= {value.name for value in model.graph.input}
    for record in records:
        find_lowering(record.lowering)
        missing = {record.input, record.output} - present
        if missing:
            raise UsageError(
                f"layer {record.layer}: the model has no value {', '.join(sorted(missing))}",
                legal=LAYERS_LEGAL,
                next_step="the file was changed after conversion; convert the checkpoint again",
            )
    return records


def largest_growth(records: tuple[LayerRecord, ...]) -> float:
    """Return the largest rounding growth among the lowerings of the file."""
    return max((record.rounding_growth for record in records), default=1.0)

"""What a converted file says about its Lego layers: the one writer and reader of that metadata.

``metadata_props["legoexport.layers"]`` is a JSON list with one object per layer, in graph order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

import onnx

from legoexport.errors import UsageError
from legoexport.lego.counts import LegoShape

LAYERS_KEY = "legoexport.layers"
NAMES = ("layer", "input", "output", "lowering")
COUNTS = ("o", "m", "n", "c")
PAIRS = ("kernel", "stride", "padding", "dilation", "input_size")
USES = ("filters_used", "pairs_used")


@dataclass(frozen=True)
class LayerRecord:
    """Where a Lego layer is in a converted file, and how large.

    Attributes:
        layer: Dotted module name; a second call of the module is ``name#2``.
        input: Name of the value that enters; of integers if the layer computes on those.
        output: Name of the value that leaves.
        lowering: Name of the lowering that computes it.
        shape: Its sizes. A converted file stores a coefficient for every entry and a bias.

    Raises:
        ValueError: No Lego layer has these sizes.
    """

    layer: str
    input: str
    output: str
    lowering: str
    shape: LegoShape

    def __post_init__(self) -> None:
        shape = self.shape
        counts = (shape.o, shape.m, shape.n, shape.c, shape.filters_used, shape.pairs_used)
        if min(counts) < 1 or shape.c % shape.o:
            raise ValueError(f"no Lego layer has the sizes {shape}")
        ones = (*shape.kernel, *shape.stride, *shape.dilation, *shape.input_size)
        if min(shape.padding) < 0 or min(ones) < 1:
            raise ValueError(f"no Lego layer has the geometry {shape}")
        if shape.filters_used > shape.m or shape.pairs_used > shape.o * shape.m:
            raise ValueError(f"a layer uses more filters than it has: {shape}")
        if min(shape.output_size) < 1:
            raise ValueError(f"the kernel does not fit into the input: {shape}")


def write_layers(records: Iterable[LayerRecord]) -> str:
    """Return the JSON text that ``read_layers`` reads back."""
    return json.dumps([_entry(record) for record in records])


def read_layers(model: onnx.ModelProto) -> tuple[LayerRecord, ...] | None:
    """Read the layers of a file in the order of its graph; None if legoexport did not write it.

    Raises:
        UsageError: The metadata is damaged, or names values that the graph does not have.
    """
    records = stated_layers(model)
    if records is not None:
        _check_values(records, model.graph)
    return records


def stated_layers(model: onnx.ModelProto) -> tuple[LayerRecord, ...] | None:
    """Read the layers as ``read_layers`` does, whether the graph still has their values or not.

    Raises:
        UsageError: The metadata is damaged.
    """
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if LAYERS_KEY not in metadata:
        return None
    try:
        return _records(json.loads(metadata[LAYERS_KEY]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError(
            f"the {LAYERS_KEY} metadata of the ONNX file is damaged",
            received=f"{type(error).__name__}: {error}",
            legal=f"a list of objects with {', '.join((*NAMES, *COUNTS, *PAIRS, *USES))}",
            next_step="convert the checkpoint again",
        ) from None


def _entry(record: LayerRecord) -> dict[str, object]:
    named, sizes = asdict(record), asdict(record.shape)
    return {name: named[name] for name in NAMES} | {
        name: sizes[name] for name in (*COUNTS, *PAIRS, *USES)
    }


def _records(content: object) -> tuple[LayerRecord, ...]:
    if not isinstance(content, list):
        raise TypeError(f"expected a list, received {type(content).__name__}")
    return tuple(_record(entry) for entry in content)


def _record(entry: Mapping[str, object]) -> LayerRecord:
    named = {name: entry[name] for name in NAMES}
    if not all(isinstance(value, str) for value in named.values()):
        raise TypeError(f"{', '.join(NAMES)} are names, received {named}")
    sizes = {name: _integers(entry[name], 1)[0] for name in (*COUNTS, *USES)}
    pairs = {name: _integers(entry[name], 2) for name in PAIRS}
    return LayerRecord(**named, shape=LegoShape(**sizes, **pairs))  # type: ignore[arg-type]


def _integers(value: object, length: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, list) else (value,)
    if len(numbers) != length or not all(type(number) is int for number in numbers):
        raise ValueError(f"expected {length} integers, received {value!r}")
    return numbers


def _check_values(records: Iterable[LayerRecord], graph: onnx.GraphProto) -> None:
    present = {name for node in graph.node for name in node.output}
    present |= {value.name for value in graph.input}
    for record in records:
        missing = {record.input, record.output} - present
        if missing:
            raise UsageError(
                f"layer {record.layer}: the model has no value {', '.join(sorted(missing))}",
                legal="values of the graph, as convert recorded them",
                next_step="the file was changed after conversion; convert the checkpoint again",
            )

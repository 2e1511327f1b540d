"""Converted: what ``convert --json`` printed of a conversion, read back and checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from legoexport.errors import UsageError
from legoexport.host.reading import read_bytes
from legoexport.inspect.inventory import StoredBytes
from legoexport.ort.partitions import Partitions
from legoexport.quantize.cost import LayerCost, RoundingCost
from legoexport.quantize.scores_cost import FileScores, ScoresCost


@dataclass(frozen=True)
class Totals:
    """What a network stores and multiplies for one image.

    Attributes:
        parameters: Weights and coefficients.
        macs: Multiply-adds of the maps in use and the merge.
    """

    parameters: int
    macs: int

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Totals:
        """Read the totals of an inventory."""
        return cls(int(record["weights_coefficients"]), int(record["counted_macs"]))


@dataclass(frozen=True)
class Converted:
    """A conversion.

    Attributes:
        source: The JSON file.
        settings: How it was converted, in words, by what they are.
        checkpoint_sha256: Digest of its checkpoint.
        size_bytes: Size of the file.
        stored: Where its bytes go.
        totals: What it stores and multiplies.
        dense_twin: The same of its dense twin.
        passed: Whether it was proved.
        relative_error: Largest error, as a share of the range of its outputs; None if infinite.
        own_peak_bytes: Memory that loading and running it took; None if the system did not tell.
        lowerings: Lowering of each Lego layer.
        evenness: Evenness of the use of each layer's bank, from 0 to 1.
        partitions: What the mobile providers would take.
        cost: What rounding costs; None if it computes and stores fp32.
    """

    source: str
    settings: Mapping[str, str]
    checkpoint_sha256: str
    size_bytes: int
    stored: StoredBytes
    totals: Totals
    dense_twin: Totals
    passed: bool
    relative_error: float | None
    own_peak_bytes: int | None
    lowerings: Mapping[str, str]
    evenness: Mapping[str, float]
    partitions: tuple[Partitions, ...]
    cost: RoundingCost | None


Number = TypeVar("Number", int, float)
NAMES = ("layer", "module", "computes", "lowering")
SETTINGS = ("checkpoint", "out", "arch", "target", "opset", "precision", "store", "input", "output")


def read_converted(path: Path) -> Converted:
    """Read what ``convert --json`` printed.

    Raises:
        UsageError: The file cannot be read, or holds something else.
    """
    try:
        return _converted(str(path), json.loads(read_bytes(path)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path} does not describe a conversion",
            received=f"{type(error).__name__}: {error}",
            legal="what legoexport convert --json prints",
            next_step=f"legoexport convert CHECKPOINT --out MODEL.onnx --json > {path}",
        ) from None


def _converted(source: str, record: Mapping[str, Any]) -> Converted:
    stored = {key: int(size) for key, size in record["totals"]["stored"].items()}
    stored.pop("total_bytes")
    error, memory = record["parity"]["relative_error"], record["memory"]
    peaks = memory["peak_bytes"], memory["before_load_bytes"]
    cost = (record["int8"] or {}).get("cost") or record["store_cost"]
    return Converted(
        source=source,
        settings={key: str(record[key]) for key in SETTINGS},
        checkpoint_sha256=str(record["checkpoint_sha256"]),
        size_bytes=int(record["size_bytes"]),
        stored=StoredBytes(**stored),
        totals=Totals.of(record["totals"]),
        dense_twin=Totals.of(record["dense_twin"]),
        passed=bool(record["parity"]["passed"]),
        relative_error=None if error is None else float(error),
        own_peak_bytes=None if None in peaks else int(peaks[0]) - int(peaks[1]),
        lowerings={str(layer): str(name) for layer, name in record["plan"].items()},
        evenness={str(one["layer"]): float(one["evenness_ratio"]) for one in record["audit"]},
        partitions=tuple(map(_partitions, record["partitions"])),
        cost=None if cost is None else _cost(cost),
    )


def _partitions(record: Mapping[str, Any]) -> Partitions:
    counts = {name: int(value) for name, value in record.items() if name.endswith("_count")}
    return Partitions(
        provider=str(record["provider"]),
        **counts,
        unsupported_ops=tuple(map(str, record["unsupported_ops"])),
        fixed_batch=bool(record["fixed_batch"]),
    )


def _cost(record: Mapping[str, Any]) -> RoundingCost:
    layers, scores = map(_layer_cost, record["layers"]), map(_scores_cost, record["scores"])
    return RoundingCost(tuple(layers), tuple(scores))


def _scores_cost(record: Mapping[str, Any]) -> ScoresCost:
    files = tuple(map(_file_scores, record["files"]))
    count, right = int(record["images_count"]), _known(int, record["right_count"])
    return ScoresCost(str(record["name"]), count, right, files)


def _file_scores(record: Mapping[str, Any]) -> FileScores:
    counts = (_known(int, record[key]) for key in ("agreeing_count", "right_count"))
    return FileScores(str(record["file"]), _known(float, record["sqnr_db"]), *counts)


def _layer_cost(record: Mapping[str, Any]) -> LayerCost:
    names = {key: str(record[key]) for key in NAMES}
    floats = {key: _known(float, value) for key, value in record.items() if key not in NAMES}
    return LayerCost(**names, **floats)  # type: ignore[arg-type]


def _known(read: Callable[[Any], Number], value: Any) -> Number | None:
    return None if value is None else read(value)

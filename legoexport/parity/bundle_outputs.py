"""What ``bundle.json`` says of one output, written and read."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray

from legoexport.parity.golden import GoldenOutput, IntegerRule
from legoexport.parity.rankings import LAST


def describe_output(output: GoldenOutput) -> dict[str, Any]:
    """Return all of an output but its arrays, as JSON values."""
    described = {
        "name": output.name,
        "limit": output.limit,
        "reference_max_abs_error": output.reference_max_abs_error,
        **describe_array(output.values),
    }
    if output.scores is not None:
        described["ranks"] = {"scores": output.scores, "axis": output.axis}
    if output.integers is not None:
        described["integers"] = asdict(output.integers)
    return described


def describe_array(array: NDArray[Any]) -> dict[str, Any]:
    """Return shape and type."""
    return {"shape": array.shape, "dtype": str(array.dtype)}


def read_output(fields: dict[str, Any], arrays: Any, place: str) -> GoldenOutput:
    """Return an output of a bundle.

    Args:
        fields: As ``describe_output`` gives them.
        arrays: Of the bundle, by name.
        place: The set and the output in their names.

    Raises:
        KeyError: Something is missing.
        ValueError: Something is no number.
        TypeError: Something has another form.
    """
    values = arrays[f"output_{place}"]
    # Bundles had neither at first.
    ranks, integers = fields.get("ranks", {}), fields.get("integers")
    return GoldenOutput(
        name=str(fields["name"]),
        values=values,
        float32_values=None if values.dtype.kind == "f" else arrays[f"float32_{place}"],
        limit=float(fields["limit"]),
        reference_max_abs_error=float(fields["reference_max_abs_error"]),
        scores=str(ranks["scores"]) if ranks else None,
        axis=int(ranks["axis"]) if ranks else LAST,
        among=arrays.get(f"among_{place}"),
        integers=None if integers is None else _read_rule(integers),
    )


def _read_rule(fields: dict[str, Any]) -> IntegerRule:
    return IntegerRule(float(fields["same"]), int(fields["moved_allowed_count"]))

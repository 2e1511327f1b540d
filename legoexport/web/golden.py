"""Golden data of a parity bundle as a browser reads it: raw numbers and a description."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.parity.golden import GoldenOutput, GoldenSet

# Types of the numbers by the kind of numpy; pixels stay bytes, and no class has a larger number.
LITTLE_ENDIAN = {"f": "<f4", "i": "<i4", "u": "u1"}
# A typed array of a browser begins at a multiple of what a number takes.
ALIGNMENT_BYTES = 4


@dataclass(frozen=True)
class GoldenData:
    """All arrays of a bundle, one after the other.

    Attributes:
        content: Images and outputs of each set in turn, in C order: little-endian float32, int32
            for indices, and bytes where the images are pixels.
        description: JSON values that tell where each array lies and what is asked of it.
    """

    content: bytes
    description: dict[str, Any]


def pack(sets: Sequence[GoldenSet], file: str) -> GoldenData:
    """Lay out the sets of a bundle.

    Args:
        sets: What the bundle holds: one image tensor, or pixels, and one output of floats each,
            with or without the classes that it ranks.
        file: The name under which the page finds the content.
    """
    parts: list[bytes] = []
    described = []
    for one in sets:
        images = _append(parts, one.images)
        output, *indices = one.outputs
        outputs = _append(parts, output.values)
        described.append(
            {
                "name": one.name,
                "batch_size": one.batch_size,
                "limit": output.limit,
                "reference_max_abs_error": output.reference_max_abs_error,
                "images": images,
                "outputs": outputs,
                "integers": output.integers and asdict(output.integers),
                "ranking": _append_ranking(parts, indices[0]) if indices else None,
            }
        )
    content = b"".join(parts)
    digest = hashlib.sha256(content).hexdigest()
    return GoldenData(content, {"file": file, "sha256": digest, "sets": described})


def _append_ranking(parts: list[bytes], indices: GoldenOutput) -> dict[str, Any]:
    """Lay out classes as float64 and float32 rank them, and the scores of all classes."""
    if indices.float32_values is None or indices.among is None:
        raise UsageError(
            "the bundle does not hold the scores of all classes",
            next_step="make it again with legoexport verify --save-bundle",
        )
    return {
        "indices": _append(parts, indices.values),
        "float32_indices": _append(parts, indices.float32_values),
        "among": _append(parts, indices.among),
    }


def _append(parts: list[bytes], array: NDArray[Any]) -> dict[str, Any]:
    offset = sum(map(len, parts))
    content = array.astype(LITTLE_ENDIAN[array.dtype.kind]).tobytes()
    parts.append(content + bytes(-len(content) % ALIGNMENT_BYTES))
    return {"offset_bytes": offset, "shape": list(array.shape)}

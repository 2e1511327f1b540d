"""Golden data of a parity bundle as a browser reads it: raw numbers and a description."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.parity.golden import GoldenSet

LITTLE_ENDIAN_FLOAT32 = "<f4"
# A typed array of a browser begins at a multiple of what a number takes.
ALIGNMENT_BYTES = 4


@dataclass(frozen=True)
class GoldenData:
    """All arrays of a bundle, one after the other.

    Attributes:
        content: Images and outputs of each set in turn, in C order: little-endian float32, or bytes
            where the images are pixels.
        description: JSON values that tell where each array lies and what is asked of it.
    """

    content: bytes
    description: dict[str, Any]


def pack(sets: Sequence[GoldenSet], file: str) -> GoldenData:
    """Lay out the sets of a bundle.

    Args:
        sets: What the bundle holds: one image tensor, or pixels, and one output of floats each.
        file: The name under which the page finds the content.
    """
    parts: list[bytes] = []
    described = []
    for one in sets:
        images = _append(parts, one.images)
        (output,) = one.outputs
        outputs = _append(parts, output.values)
        described.append(
            {
                "name": one.name,
                "batch_size": one.batch_size,
                "limit": output.limit,
                "reference_max_abs_error": output.reference_max_abs_error,
                "images": images,
                "outputs": outputs,
            }
        )
    content = b"".join(parts)
    digest = hashlib.sha256(content).hexdigest()
    return GoldenData(content, {"file": file, "sha256": digest, "sets": described})


def _append(parts: list[bytes], array: NDArray[Any]) -> dict[str, Any]:
    offset = sum(map(len, parts))
    is_pixels = array.dtype == np.uint8
    content = (array if is_pixels else array.astype(LITTLE_ENDIAN_FLOAT32)).tobytes()
    parts.append(content + bytes(-len(content) % ALIGNMENT_BYTES))
    return {"offset_bytes": offset, "shape": list(array.shape)}

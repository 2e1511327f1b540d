"""How real numbers become integers of 8 bits, and which of them a quantized network uses.

    q = clip(round(x / scale) + zero_point, lowest, highest)        x ~ (q - zero_point) * scale

Rounding is to the nearest, halves to even, as ONNX's QuantizeLinear has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.storage import Encoded

Precision = Literal["fp32", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ActivationType = Literal["uint8", "int8"]
LIMITS: Mapping[ActivationType, tuple[int, int]] = {"uint8": (0, 255), "int8": (-128, 127)}
# A value that never differs from zero still needs a scale; any will do.
SCALE_OF_NOTHING = np.float32(1)
LEAST_SCALE = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Affine:
    """The integers that stand for an activation.

    Attributes:
        scale: Step between two of them, a positive float32.
        zero_point: The integer that stands for zero.
        dtype: Their type.

    Raises:
        UsageError: No activation has such a scale or zero point.
    """

    scale: float
    zero_point: int
    dtype: ActivationType

    def __post_init__(self) -> None:
        low, high = LIMITS[self.dtype]
        if not (np.float32(self.scale) == self.scale and LEAST_SCALE <= self.scale < np.inf):
            raise UsageError("a scale must be a positive float32", received=self.scale)
        if not low <= self.zero_point <= high:
            raise UsageError(
                "a zero point must be one of the integers",
                received=self.zero_point,
                legal=f"{low}..{high}",
            )

    @classmethod
    def of_range(cls, low: float, high: float, dtype: ActivationType) -> Affine:
        """Return the finest integers that reach from ``low`` to ``high`` and hit zero.

        Args:
            low: Smallest value; taken for 0 if it is above, so that padding is exact.
            high: Largest value; taken for 0 if it is below.
            dtype: Type of the integers.
        """
        low, high = min(low, 0.0), max(high, 0.0)
        lowest, highest = LIMITS[dtype]
        scale = np.float32((high - low) / (highest - lowest))
        if scale < LEAST_SCALE:
            return cls(float(SCALE_OF_NOTHING), lowest, dtype)
        zero = int(np.clip(np.rint(lowest - low / float(scale)), lowest, highest))
        return cls(float(scale), zero, dtype)

    @property
    def low(self) -> float:
        """The smallest number that an integer stands for."""
        return (LIMITS[self.dtype][0] - self.zero_point) * self.scale

    @property
    def high(self) -> float:
        """The largest number that an integer stands for."""
        return (LIMITS[self.dtype][1] - self.zero_point) * self.scale

    @property
    def scale_array(self) -> NDArray[np.float32]:
        """The scale, as a graph holds it."""
        return np.array(self.scale, np.float32)

    @property
    def zero_array(self) -> NDArray[Any]:
        """The zero point, as a graph holds it."""
        return np.array(self.zero_point, self.dtype)


@dataclass(frozen=True)
class Scales:
    """What calibration gives a network: with its checkpoint, all that an int8 file depends on.

    Attributes:
        activations: The integers of each quantized activation, by the name of its value.
        maps: For each Lego layer ``(pairs,)`` float32, by its name: the scale of the weights that
            make the intermediate map of each (fragment, Lego filter) pair in use, fragment after
            fragment, in the order of ``FrozenLego.selection``. It holds one over the range of the
            map, so that every map fills the integers.
    """

    activations: Mapping[str, Affine]
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "activations", MappingProxyType(dict(self.activations)))
        object.__setattr__(self, "maps", MappingProxyType(dict(self.maps)))
        for layer, scale in self.maps.items():
            if scale.dtype != np.float32 or scale.ndim != 1 or not (scale > 0).all():
                raise UsageError(
                    f"layer {layer}: scales of maps must be positive float32 (pairs,)",
                    received=f"{scale.dtype} {scale.shape}",
                )

    def sha256(self) -> str:
        """Digest of every number in it, hexadecimal."""
        digest = hashlib.sha256()
        for name, one in sorted(self.activations.items()):
            digest.update(f"{name}={one.scale!r},{one.zero_point},{one.dtype}\n".encode())
        for layer, scale in sorted(self.maps.items()):
            digest.update(f"{layer}=".encode() + scale.astype("<f4").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class LayerScales:
    """What a Lego layer needs to compute in integers.

    Attributes:
        input: The integers that enter.
        bank: Codes ``(m, c/o, kh, kw)`` and scales ``(m,)`` of its Lego filters.
        maps: As in ``Scales``; None where the layer was not calibrated.
        largest_code: The largest magnitude of a weight's code.
    """

    input: Affine
    bank: Encoded
    maps: NDArray[np.float32] | None
    largest_code: int

    @property
    def map(self) -> Affine:
        """The integers of all intermediate maps, each of which reaches from -1 to 1."""
        return Affine.of_range(-1, 1, self.input.dtype)

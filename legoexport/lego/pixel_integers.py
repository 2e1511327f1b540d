"""Pixels as the integers of an input in int8: where normalization and rounding leave them alone.

A channel's normalization is ``(u - mean) / std`` in grey levels. Integers with ``scale = 1 / std``
and ``zero_point = round(mean)`` stand for it within half a step, and rounding gives ``u`` itself.
They have one scale and one zero point, so that all channels must share them. No finer scale would
tell more: there are 256 grey levels and as many integers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from legoexport.lego.normalization import GREY_LEVELS, Normalization
from legoexport.lego.scales import LIMITS, ActivationType, Affine


def affine_of_pixels(normalization: Normalization, dtype: ActivationType) -> Affine | None:
    """Return the integers of an input that are its pixels; None if no such integers are.

    Args:
        normalization: Of the pictures in training.
        dtype: Type of the integers.
    """
    mean, std = normalization.grey_levels
    zero_point = int(np.rint(mean[0]))
    if not 0 <= zero_point <= GREY_LEVELS:
        return None
    affine = Affine(float(np.float32(1 / std[0])), zero_point, "uint8")
    return affine if dtype == "uint8" and are_pixels(normalization, affine) else None


def are_pixels(normalization: Normalization, affine: Affine) -> bool:
    """Whether every grey level of every channel is rounded to itself, as a file computes it."""
    levels = np.arange(GREY_LEVELS + 1)
    return bool((_rounded(levels, normalization, affine) == levels).all())


def _rounded(
    levels: NDArray[np.int64], normalization: Normalization, affine: Affine
) -> NDArray[np.float32]:
    """Return the integer of each level, ``(c, levels)``: in float32, operation by operation."""
    mean, std = (one.astype(np.float32)[:, None] for one in normalization.grey_levels)
    normalised = (levels.astype(np.float32) - mean) / std
    steps = np.rint(normalised / np.float32(affine.scale)) + np.float32(affine.zero_point)
    integers: NDArray[np.float32] = np.clip(steps, *LIMITS[affine.dtype])
    return integers

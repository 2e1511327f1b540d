"""Judge integers and booleans, which are equal or not; ``agreement`` states the rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.parity.agreement import Agreement

# In units of the output: no two integers are closer without being equal.
LIMIT = 0.5


def judge_exact(float64: NDArray[Any], float32: NDArray[Any], actual: NDArray[Any]) -> Agreement:
    """Compare integer or boolean outputs of a model with PyTorch's.

    Args:
        float64: ``(N, ...)``, PyTorch in float64.
        float32: The same in float32.
        actual: The same from the ONNX model.
    """
    unsettled = float32 != float64
    wrong = (actual != float64) & (actual != float32)
    errors = np.where(wrong, np.maximum(_distance(actual, float64), 1.0), 0.0)
    signal = float(np.square(float64.astype(np.float64)).sum())
    noise = float(np.square(errors).sum())
    return Agreement(
        images_count=len(actual),
        max_abs_error=float(errors.max()),
        limit=LIMIT,
        output_range=float(np.ptp(float64.astype(np.float64))) or 1.0,
        reference_max_abs_error=float(_distance(float32, float64).max()),
        snr_db=10 * float(np.log10(max(signal, 1.0) / noise)) if noise else float("inf"),
        top1_count=actual.size,
        top1_agreement_count=int((actual == float64).sum()),
        top1_errors_count=int(wrong.sum()),
        unsettled_count=int(unsettled.sum()),
    )


def _distance(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    return np.abs(one.astype(np.float64) - other.astype(np.float64))

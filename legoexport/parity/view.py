"""Rows of the tables that ``legoexport verify`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

from legoexport.parity.agreement import Agreement

if TYPE_CHECKING:
    from legoexport.parity.integer.elsewhere import IntegersElsewhere
    from legoexport.parity.layer_check import LayerAgreement

AGREEMENT_COLUMNS = (
    "inputs",
    "images",
    "max abs error",
    "limit",
    "of range",
    "PyTorch float32",
    "SNR dB",
    "top-1 equal",
    "verdict",
)
INTEGER_COLUMNS = ("layer", "lowering", "integers", "ties", "differ", "by steps", "verdict")
LAYER_COLUMNS = ("layer", "lowering", "relative error", "of its limit", "channel", "verdict")


def agreement_rows(agreements: Mapping[str, Agreement]) -> list[tuple[object, ...]]:
    """One row for each set of inputs."""
    return [
        (
            name,
            one.images_count,
            f"{one.max_abs_error:.2e}",
            *_limit_cells(one),
            f"{one.snr_db:.1f}",
            f"{one.top1_agreement_count}/{one.top1_count}" if one.top1_count else "-",
            verdict(passed=one.passed) if isfinite(one.limit) else "measured",
        )
        for name, one in agreements.items()
    ]


def _limit_cells(one: Agreement) -> tuple[str, str, str]:
    """Return the limit, and both errors of the range; PyTorch's counts only for a limit."""
    error = f"{one.relative_error:.2e}"
    if not isfinite(one.limit):
        return "-", error, "-"
    return f"{one.limit:.2e}", error, f"{one.reference_relative_error:.2e}"


def layer_rows(layers: Sequence[LayerAgreement]) -> list[tuple[object, ...]]:
    """One row for each Lego layer."""
    return [
        (
            one.layer,
            one.lowering,
            f"{one.relative_error:.2e}",
            f"{one.limit_ratio:.3g}",
            one.worst_channel,
            verdict(passed=one.passed),
        )
        for one in layers
    ]


def integer_rows(one: IntegersElsewhere) -> list[tuple[object, ...]]:
    """One row for each layer of a file in int8 on another runtime."""
    return [
        (
            layer.layer,
            layer.lowering,
            layer.values_count,
            layer.ties_count,
            layer.wrong_count,
            layer.largest_excess_steps,
            verdict(passed=layer.within(one.allowed_steps)),
        )
        for layer in one.walked.layers
    ]


def layers_line(layers: Sequence[LayerAgreement]) -> str:
    """All layers in one sentence."""
    good = sum(one.passed for one in layers)
    worst = max(layers, key=lambda one: one.limit_ratio)
    ratio = f"{worst.limit_ratio:.3g} of its limit"
    return f"{good} of {len(layers)} Lego layers within tolerance, worst {worst.layer} at {ratio}"


def verdict(*, passed: bool) -> str:
    """One word."""
    return "ok" if passed else "FAILED"

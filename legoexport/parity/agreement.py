"""Agreement: how far a model's outputs are from the truth, and whether that is far enough to fail.

The truth ``y64`` is PyTorch in float64. How much float32 may lose on this network is measured, not
guessed: it is what PyTorch's own float32 result ``y32`` loses, its long sums added in order as
``models/sum_in_order`` says. The rule, for each set of inputs::

    max|y - y64| <= limit = growth * max(FACTOR * max|y32 - y64|, FLOOR * range(y64))

Every output must be finite. Where the largest score (top-1) differs from that in ``y64``, the two
scores must be within ``limit`` of each other in ``y64``: a genuine tie is not an error.

An output of integers or booleans must be ``y64``, entry by entry. Where PyTorch's own ``y32``
differs, float32 does not decide the entry (a tie of an argmax, a number on a threshold): there
``y32`` is right as well, any third value is wrong, and such entries are counted. Indices that a
model gives beside the scores that they pick are judged by those: see ``rankings``.

Of a file in int8, a bundle also counts the images that are moved by a step of an integer: see
``integer/golden_integers``.

``growth`` is the largest ``rounding_growth`` among the lowerings of the model (1 for direct forms)
times that of the runtime (1 if it adds in blocks, as PyTorch does).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

# Another summation order, and batch norm folded into rounded tables, move float32 results by about
# as much as float32 itself does; the largest of few errors scatters by a further factor of two.
FACTOR = 4.0
# About 17 roundings of a number as large as the output's range: a network of a few layers may
# happen to be nearly exact in one summation order and not in another.
FLOOR = 2e-6


@dataclass(frozen=True)
class Accuracy:
    """How many labelled images each side classifies correctly.

    Attributes:
        images_count: Images with a label.
        pytorch_correct_count: Correct in PyTorch float32.
        onnx_correct_count: Correct in ONNX Runtime.
        unexplained_count: Images that only one side gets right although ``y64`` shows no tie.
    """

    images_count: int
    pytorch_correct_count: int
    onnx_correct_count: int
    unexplained_count: int

    def __str__(self) -> str:
        return (
            f"accuracy on {self.images_count} images: PyTorch {self.pytorch_correct_count},"
            f" ONNX Runtime {self.onnx_correct_count} correct"
        )


@dataclass(frozen=True)
class Agreement:
    """Parity of ONNX outputs with PyTorch, by the rule that this module states.

    Errors, range and limit are in units of the network's output. If several sets of inputs were
    judged, they come from the set that is closest to its limit.

    Attributes:
        images_count: Images judged.
        max_abs_error: ``max|y - y64|``; infinite if ``y`` holds NaN or infinite values.
        limit: The largest error that passes.
        output_range: Largest minus smallest value of ``y64``.
        reference_max_abs_error: ``max|y32 - y64|``, PyTorch's own.
        snr_db: Power of ``y64`` over power of the error; the lowest over all sets.
        top1_count: Top-1 decisions made; 0 if the output has no class axis. Every entry of an
            output of integers or booleans is a decision.
        top1_agreement_count: Decisions that are the same in ``y64``.
        top1_errors_count: Decisions that differ and that no tie explains.
        accuracy: Accuracy on labelled data, if there was any.
        output: The output that was judged, if the model has several; the worst over all of them.
        unsettled_count: Entries of integer or boolean outputs where ``y32`` is not ``y64``.
        moved_count: Images of a file in int8 that a step of an integer moved.
        moved_excess_count: Those beyond the number that may be.
    """

    images_count: int
    max_abs_error: float
    limit: float
    output_range: float
    reference_max_abs_error: float
    snr_db: float
    top1_count: int
    top1_agreement_count: int
    top1_errors_count: int
    accuracy: Accuracy | None = None
    output: str | None = None
    unsettled_count: int = 0
    moved_count: int = 0
    moved_excess_count: int = 0

    @property
    def relative_error(self) -> float:
        """Maximum error as a share of the output's range."""
        return self.max_abs_error / self.output_range

    @property
    def reference_relative_error(self) -> float:
        """PyTorch float32's maximum error as a share of the output's range."""
        return self.reference_max_abs_error / self.output_range

    @property
    def limit_ratio(self) -> float:
        """Error over limit; above 1 fails."""
        return self.max_abs_error / self.limit

    @property
    def top1_agreement_ratio(self) -> float:
        """Share of equal top-1 decisions; 1 if there are none to make."""
        return self.top1_agreement_count / self.top1_count if self.top1_count else 1.0

    @property
    def passed(self) -> bool:
        """Whether the rule holds."""
        unexplained = self.accuracy.unexplained_count if self.accuracy else 0
        within = self.max_abs_error <= self.limit
        is_wrong = self.top1_errors_count or unexplained or self.moved_excess_count
        return within and not is_wrong

    def to_json(self) -> dict[str, Any]:
        """Return every number and the verdict as JSON values; infinite ones become None."""
        names = ("relative_error", "reference_relative_error", "top1_agreement_ratio", "passed")
        return finite_or_none(asdict(self) | {name: getattr(self, name) for name in names})

    @property
    def _verdict(self) -> str:
        if np.isinf(self.limit):
            return "measured without a limit"
        return "parity reached" if self.passed else "PARITY NOT REACHED"

    def __str__(self) -> str:
        worst = f", worst {self.output}" if self.output else ""
        lines = [
            f"{self._verdict} over {self.images_count} images{worst}",
            f"max abs error {self.max_abs_error:.3g}, limit {self.limit:.3g}",
            f"{self.relative_error:.2e} of the output's range"
            f" (PyTorch float32: {self.reference_relative_error:.2e})",
            f"SNR {self.snr_db:.1f} dB, top-1 {self.top1_agreement_count}/{self.top1_count}",
        ]
        if self.unsettled_count:
            lines.append(f"{self.unsettled_count} entries that float32 does not decide")
        if self.moved_count:
            excess = self.moved_excess_count
            many = f", {excess} more than may be" if excess else ""
            lines.append(f"{self.moved_count} images moved by steps of integers{many}")
        return "; ".join([*lines, *([str(self.accuracy)] if self.accuracy else [])])


def finite_or_none(fields: dict[str, Any]) -> dict[str, Any]:
    """Replace NaN and infinity, which JSON does not have, by None."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in fields.items()
    }

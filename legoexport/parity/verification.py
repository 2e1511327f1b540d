"""Verification: the verdict on a file, with all that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from legoexport.parity.agreement import Agreement
from legoexport.parity.exact import NOT_COMPARED, ExactCheck
from legoexport.parity.golden import GoldenSet
from legoexport.parity.integer.elsewhere import IntegersElsewhere
from legoexport.parity.judge import combine
from legoexport.parity.layer_check import LayerAgreement
from legoexport.runtimes.base import Replay
from legoexport.runtimes.each import replays_json


@dataclass(frozen=True)
class Verification:
    """The verdict.

    Attributes:
        agreements: Parity on each set of inputs, by its name.
        layers: One for each Lego layer in the order of the graph.
        notes: Remarks that hold whether the check passed or not.
        diagnosis: What is wrong and where it came from; empty if all is well.
        exact: How the file differs from the one that the network gives when it is converted again.
        replays: What other runtimes computed, if they gave the outputs that were judged.
        elsewhere: How the integers of a file in int8 compare on those runtimes.
        float_agreements: Parity of the network in float that those integers follow, by the set.
        golden: What ``bundle.save_bundle`` needs so that the check can be repeated without PyTorch.
    """

    agreements: Mapping[str, Agreement]
    layers: tuple[LayerAgreement, ...]
    notes: tuple[str, ...]
    diagnosis: tuple[str, ...]
    exact: ExactCheck = NOT_COMPARED
    replays: tuple[Replay, ...] = ()
    elsewhere: tuple[IntegersElsewhere, ...] = ()
    float_agreements: Mapping[str, Agreement] = field(default_factory=dict)
    golden: tuple[GoldenSet, ...] = field(default=(), repr=False, compare=False)

    @property
    def agreement(self) -> Agreement:
        """Parity over all sets of inputs."""
        return combine(self.agreements)

    @property
    def all_agreements(self) -> dict[str, Agreement]:
        """Parity on each set of inputs, of the file and then of its network in float, if judged."""
        in_float = {f"in float, {name}": one for name, one in self.float_agreements.items()}
        return {**self.agreements, **in_float}

    @property
    def passed(self) -> bool:
        """Whether all numbers are within their limits, and the file is what the network gives."""
        numbers_passed = self.agreement.passed and all(layer.passed for layer in self.layers)
        integers_passed = all(one.passed for one in self.elsewhere)
        origin_passed = all(one.passed for one in self.float_agreements.values())
        return numbers_passed and integers_passed and origin_passed and self.exact.passed

    def to_json(self) -> dict[str, Any]:
        """Return the verdict and all that it rests on as JSON values."""
        return {
            "passed": self.passed,
            "agreement": self.agreement.to_json(),
            "sets": {name: one.to_json() for name, one in self.agreements.items()},
            "layers": [layer.to_json() for layer in self.layers],
            "exact": self.exact.to_json(),
            **({"integers": [one.to_json() for one in self.elsewhere]} if self.elsewhere else {}),
            **self._float_parity(),
            "notes": list(self.notes),
            "diagnosis": list(self.diagnosis),
            **replays_json(self.replays),
        }

    def _float_parity(self) -> dict[str, Any]:
        found = self.float_agreements
        return {"float_parity": combine(found).to_json()} if found else {}

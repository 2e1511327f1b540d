"""Settle the plan of a conversion: given, preferred or measured, and held to its limit."""

from __future__ import annotations

from dataclasses import dataclass

from legoexport.compile.pipeline import choose_plan
from legoexport.compile.stages import Prepared
from legoexport.deliver.request import ConversionRequest
from legoexport.host.progress import Progress
from legoexport.passes.plan import Plan
from legoexport.quantize.revert import Held
from legoexport.quantize.trained import Trained
from legoexport.tune import Tuned, tune


@dataclass(frozen=True)
class Planned:
    """The plan that a network is lowered with.

    Attributes:
        plan: The lowering of each layer.
        tuned: How it was found, if plans were measured.
        held: How it came to hold the limit on the accuracy that int8 loses, if there is one.
    """

    plan: Plan
    tuned: Tuned | None
    held: Held | None


def settle_plan(
    request: ConversionRequest, prepared: Prepared, trained: Trained | None, progress: Progress
) -> Planned:
    """Choose or measure a plan; give layers back to float until it holds the limit.

    Args:
        request: What is asked for.
        prepared: The network, with its integers if it computes in them.
        trained: The network as it was trained, if there are images to judge a file in int8 on.
        progress: Called with the name of each step before it starts.

    Raises:
        CheckFailed: The file loses more than the limit even in float.
    """
    tuned = tune(prepared, request.tuning, progress) if request.tuning else None
    plan = tuned.plan if tuned else choose_plan(prepared)
    if trained is None or request.max_drop_points is None:
        return Planned(plan, tuned, None)
    held = trained.held_to(request.max_drop_points, prepared, plan, progress)
    return Planned(held.plan, tuned, held)

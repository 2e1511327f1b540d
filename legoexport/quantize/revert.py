"""Give layers back to float until a network that computes in int8 is accurate enough.

The layer that int8 costs most by itself goes first. What is measured after each step is the whole
file, so the order decides only how many layers go, not whether the limit holds. Weights stay
rounded: a layer that computes in float multiplies by the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from legoexport.compile.pipeline import lower
from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.errors import CheckFailed, UsageError
from legoexport.host.progress import Progress
from legoexport.passes.lowerings import INT8_LOWERINGS
from legoexport.passes.plan import Plan, checked_points
from legoexport.passes.preference import preferred_plan
from legoexport.quantize.cost import LayerCost

# From the bytes of a file to how much worse it is than the trained network, in percentage points.
Measure = Callable[[bytes], float]


@dataclass(frozen=True)
class Reverted:
    """A layer that went back to float.

    Attributes:
        layer: What the plan calls it.
        module: The torch module that it comes from; empty if that is not known.
        sqnr_both_db: What int8 cost it, in dB; None if nothing changed.
        drop_points: How much worse than the trained network the file is without it and those that
            went before, in percentage points.
    """

    layer: str
    module: str
    sqnr_both_db: float | None
    drop_points: float


@dataclass(frozen=True)
class Held:
    """How a file came to hold its limit.

    Attributes:
        plan: The plan that it is lowered with.
        max_drop_points: How much worse than the trained network it may be, in percentage points.
        first_drop_points: How much worse it was before any layer went back.
        reverted: The layers that went back to float, in that order.
    """

    plan: Plan
    max_drop_points: float
    first_drop_points: float
    reverted: tuple[Reverted, ...]

    @property
    def drop_points(self) -> float:
        """How much worse than the trained network it is, in percentage points."""
        return self.reverted[-1].drop_points if self.reverted else self.first_drop_points


def drop_limit(
    options: CompileOptions, max_drop_points: float | None, *, has_images: bool
) -> float | None:
    """Return how much a file may lose: what is asked for, or else what its plan records.

    Args:
        options: What to compile for.
        max_drop_points: What is asked for, in percentage points; None if nothing is.
        has_images: Whether there are real images to judge on.

    Raises:
        UsageError: It is no limit, or nothing could be held to it.
    """
    if max_drop_points is not None:
        limit = checked_points(max_drop_points, "max_drop_points")
    elif options.plan is not None and options.plan.max_drop_points is not None:
        limit = options.plan.max_drop_points
    else:
        return None
    if options.precision == "int8" and has_images:
        return limit
    raise UsageError(
        "max_drop_points limits what int8 loses on real images",
        received=f"precision {options.precision}, {'' if has_images else 'no '}images to judge on",
        legal="precision int8, and images that none was calibrated with",
        next_step="leave it out, of the plan as well",
    )


def revert_until(
    prepared: Prepared,
    plan: Plan,
    layers: Iterable[LayerCost],
    measure: Measure,
    max_drop_points: float,
    *,
    progress: Progress = lambda _: None,
) -> Held:
    """Find a plan whose file loses at most ``max_drop_points``; it records the limit.

    Args:
        prepared: The network with its scales.
        plan: The plan to begin with.
        layers: What int8 costs each layer under that plan.
        measure: Runs a file.
        max_drop_points: How much worse than the trained network it may be, in percentage points.
        progress: Called with the name of each step before it starts.

    Raises:
        CheckFailed: It loses more even with all layers in float.
    """
    waiting = sorted((one for one in layers if one.computes == "int8"), key=_sensitivity)
    progress("measuring what int8 loses")
    plan = replace(plan, max_drop_points=max_drop_points)
    first = drop_points = _drop_points(prepared, plan, measure)
    reverted: list[Reverted] = []
    while drop_points > max_drop_points:
        if not waiting:
            raise _unreachable(drop_points, max_drop_points, len(reverted))
        layer = waiting.pop(0)
        progress(
            f"giving {layer.module or layer.layer} back to float ({drop_points:.2f} points lost)"
        )
        plan = in_float(prepared, plan, [layer.layer])
        drop_points = _drop_points(prepared, plan, measure)
        reverted.append(Reverted(layer.layer, layer.module, layer.sqnr_both_db, drop_points))
    return Held(plan, max_drop_points, first, tuple(reverted))


def in_float(prepared: Prepared, plan: Plan, layers: Sequence[str]) -> Plan:
    """Return ``plan`` with ``layers`` computed in float, Lego layers as the target prefers there.

    Args:
        prepared: The network.
        plan: The plan.
        layers: Lego layers and nodes of dense ones.

    Raises:
        UsageError: Every lowering of the target in float declines a layer.
    """
    options = prepared.options
    floats = tuple(one for one in options.target.lowerings if one not in INT8_LOWERINGS)
    target = replace(options.target, lowerings=floats)
    preferred = preferred_plan(prepared.sites, target, options.preference).lowerings
    lego = {name: preferred[name] for name in layers if name in preferred}
    dense = tuple(name for name in layers if name not in preferred)
    return replace(plan, lowerings={**plan.lowerings, **lego}, floats=(*plan.floats, *dense))


def _sensitivity(layer: LayerCost) -> float:
    return math.inf if layer.sqnr_both_db is None else layer.sqnr_both_db


def _drop_points(prepared: Prepared, plan: Plan, measure: Measure) -> float:
    return measure(lower(prepared, plan).model.SerializeToString(deterministic=True))


def _unreachable(drop_points: float, max_drop_points: float, count: int) -> CheckFailed:
    return CheckFailed(
        f"the file loses more than --max-drop allows, even after {count} layers went back to float "
        "and none is left",
        received=f"{drop_points:.2f} percentage points",
        legal=f"at most {max_drop_points:g}",
        next_step="rounding the weights alone costs this much: convert without --precision int8, "
        "with --store fp16 if size matters, or allow more",
    )

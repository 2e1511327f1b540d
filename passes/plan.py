"""Plan: which lowering serves which layer. It is saved in the model, and as JSON to be edited."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, get_args

from legoexport.errors import UsageError
from legoexport.passes.eligible import eligible
from legoexport.passes.lowerings import Site, Sums, find_lowering
from legoexport.target import Target

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Plan:
    """A lowering for every Lego layer, and how merges add up.

    Attributes:
        lowerings: Lowering name by dotted layer name, in the order of the graph.
        sums: How all merges add up.
        floats: Names of nodes of dense layers that stay float in a network that computes in int8;
            a Lego layer stays float by its lowering.
        max_drop_points: How much accuracy its file may lose, in percentage points; None if nobody
            set a limit. The file holds it, so a plan that is edited holds it too.
    """

    lowerings: Mapping[str, str]
    sums: Sums = "by blocks"
    floats: tuple[str, ...] = ()
    max_drop_points: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lowerings", MappingProxyType(dict(self.lowerings)))

    def __hash__(self) -> int:
        chosen = (self.sums, self.floats, self.max_drop_points)
        return hash((tuple(self.lowerings.items()), *chosen))

    def to_json(self) -> str:
        """Return the plan as JSON text that ``from_json`` reads back.

        Sums by blocks go without saying, as in plans that were saved before there was a choice.
        """
        content: dict[str, object] = {"version": FORMAT_VERSION}
        if self.sums != "by blocks":
            content["sums"] = self.sums
        if self.floats:
            content["float"] = list(self.floats)
        if self.max_drop_points is not None:
            content["max_drop_points"] = self.max_drop_points
        return json.dumps(content | {"lowerings": dict(self.lowerings)}, indent=2)

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Plan:
        """Read a plan.

        Raises:
            UsageError: ``text`` is not a plan; ``source`` is named in the message.
        """
        legal = '{"version": 1, "sums": "by output", "lowerings": {"<layer>": "<lowering>", ...}}'
        try:
            content = json.loads(text)
            version, lowerings = content["version"], content["lowerings"]
            sums = content.get("sums", "by blocks")
            entries = {str(layer): str(name) for layer, name in lowerings.items()}
            floats = tuple(map(str, content.get("float", ())))
            limit = content.get("max_drop_points")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{source} is not a plan", received=repr(error), legal=legal) from None
        if version != FORMAT_VERSION:
            raise UsageError(f"{source}: unknown plan version", received=version, legal=legal)
        if sums not in get_args(Sums):
            raise UsageError(
                f"{source}: unknown sums", received=sums, legal=", ".join(get_args(Sums))
            )
        if limit is not None:
            limit = checked_points(limit, f"{source}: max_drop_points")
        return cls(entries, sums, floats, limit)

    def check(self, sites: Iterable[Site], target: Target) -> None:
        """Check the plan against the network it is meant for.

        Raises:
            UsageError: A layer is missing or unknown, or a lowering is unknown, not eligible on
                ``target``, or declines its layer.
        """
        by_layer = {site.layer: site for site in sites}
        missing = sorted(set(by_layer) - set(self.lowerings))
        unknown = sorted(set(self.lowerings) - set(by_layer))
        if missing or unknown:
            raise UsageError(
                "the plan does not fit the network",
                received=f"layers without a lowering {missing}, layers that do not exist {unknown}",
                legal=", ".join(by_layer),
            )
        for layer, name in self.lowerings.items():
            reason = why_not(name, by_layer[layer], target)
            if reason:
                raise UsageError(f"layer {layer} cannot be lowered to {name}: {reason}")


def checked_points(points: Any, what: str) -> float:
    """Return a limit in percentage points.

    Args:
        points: The limit.
        what: What it is called where the user gave it.

    Raises:
        UsageError: It is no finite number from 0 on.
    """
    is_number = isinstance(points, (int, float)) and not isinstance(points, bool)
    if is_number and math.isfinite(points) and points >= 0:
        return float(points)
    raise UsageError(what, received=points, legal="percentage points from 0 on, such as 0.5")


def why_not(name: str, site: Site, target: Target) -> str | None:
    """Return why lowering ``name`` cannot serve ``site`` on ``target``, or None if it can."""
    lowering = find_lowering(name)
    legal = (*eligible(target), *target.int8_lowerings)
    if name not in legal:
        return f"target {target.name} takes {', '.join(legal)}"
    dilated_groups = site.frozen.o > 1 and site.frozen.dilation != (1, 1)
    if lowering.dilates_groups and dilated_groups and not target.dilates_groups:
        return f"target {target.name} takes no dilated convolution in groups"
    return lowering.declines(site)

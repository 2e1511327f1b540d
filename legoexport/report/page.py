"""The page: facts, tables and pictures put into the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined

from legoexport.host.report import format_ratio
from legoexport.measure.timing import Comparison
from legoexport.quantize.view import rounded_to
from legoexport.report import tables
from legoexport.report.facts import Facts, LayerMasks
from legoexport.report.figures.banks import draw_bank, side_pixels
from legoexport.report.figures.errors import draw_errors
from legoexport.report.figures.latency import draw_latency
from legoexport.report.figures.masks import draw_masks
from legoexport.report.figures.placement import draw_partitions
from legoexport.report.figures.precision import draw_precision
from legoexport.report.figures.style import Picture

# A deep network's page stays below 3 MB; the tables hold every layer.
MOST_DRAWN = 60


def render(facts: Facts) -> bytes:
    """Return the report as one HTML file that loads nothing."""
    values = {
        "facts": facts,
        "verdict": verdict(facts),
        "rounding": rounded_to(facts.subject.precision, facts.subject.store),
        "tables": {name: getattr(tables, name)(facts) for name in TABLES},
        "pictures": _pictures(facts),
        "most_drawn": MOST_DRAWN,
    }
    return fill("report.html.j2", values)


TABLES = (
    *("summary", "totals", "layers", "agreements", "layer_errors", "masks"),
    *("precision", "layer_precision", "placement", "provenance", "machine"),
)


def fill(template: str, values: Mapping[str, object]) -> bytes:
    """Return a template with its values, which are escaped."""
    loader = PackageLoader("legoexport.report", "template")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template(template).render(values)
    # A file may have a name that is no text; the page has to be.
    return page.encode(errors="surrogateescape").decode(errors="replace").encode()


def verdict(facts: Facts) -> str:
    """Return the whole report in one sentence."""
    found, own, twin = facts.verification, facts.inventory.totals, facts.inventory.dense_twin
    if not found.passed:
        return "Not proved: the file does not compute what its checkpoint computes."
    twin_bytes = facts.subject.other_size_bytes or twin.stored.total_bytes
    gains = [
        f"{format_ratio(twin_bytes / facts.subject.size_bytes)} smaller",
        f"{format_ratio(twin.counted_macs / own.counted_macs)} fewer multiply-adds",
    ]
    measured = facts.measured
    if isinstance(measured, Comparison):
        speedup = measured.speedup
        interval = f"[{speedup.low_ratio:.2f}, {speedup.high_ratio:.2f}]"
        gains.append(f"{format_ratio(speedup.estimate_ratio)} the speed {interval}")
    beside = ", ".join(gains)
    whose = "Beside dense" if facts.subject.other else "Beside dense, counted in fp32"
    return f"{_proof(facts)}. {whose}: {beside}."


def _proof(facts: Facts) -> str:
    found = facts.verification
    if facts.subject.precision != "int8":
        error = f"{found.agreement.relative_error:.1e} of the range of its outputs"
        return f"Proved: the file computes what its checkpoint computes, to {error}"
    # The last set holds real images if there are any; random ones leave the calibrated ranges.
    name, last = list(found.agreements.items())[-1]
    moved = f"{last.relative_error:.1%} of their range on {name}"
    return f"Proved: every integer is right; int8 moves the outputs by up to {moved}"


def drawn_layers(layers: Sequence[LayerMasks]) -> tuple[LayerMasks, ...]:
    """Return the layers to draw, in order: of many those whose banks are used least evenly."""
    uneven = sorted(layers, key=lambda one: one.audit.evenness_ratio)[:MOST_DRAWN]
    chosen = {one.audit.layer for one in uneven}
    return tuple(one for one in layers if one.audit.layer in chosen)


def _pictures(facts: Facts) -> dict[str, list[Picture]]:
    layers = drawn_layers(facts.layers)
    side = side_pixels(len(layers))
    # An integer is right or wrong: there is no error to draw.
    is_int8 = facts.subject.precision == "int8"
    pictures = {
        "errors": [] if is_int8 else [draw_errors(facts.verification, "errors")],
        "masks": [draw_masks(one, f"masks{at}") for at, one in enumerate(layers)],
        "banks": [draw_bank(one, f"bank{at}", side) for at, one in enumerate(layers)],
        "placement": [draw_partitions(facts.partitions, "placement")],
        "latency": [],
        "precision": [],
    }
    own, other = facts.timing.profile, facts.other_timing
    if own is not None:
        pictures["latency"] = [draw_latency(own, other.profile if other else None, "latency")]
    if facts.cost is not None:
        pictures["precision"] = [
            draw_precision(facts.cost.layers, "precision", "Precision by layer")
        ]
    return pictures

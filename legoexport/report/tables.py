"""The tables of a report: rows that the other commands print, under captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from legoexport.host.report import format_bytes, format_count, format_ratio
from legoexport.inspect import view as inventory_view
from legoexport.measure.timing import Comparison, Timing
from legoexport.parity import view as parity_view
from legoexport.passes.lowerings import INT8_LOWERINGS
from legoexport.quantize import view as quantize_view
from legoexport.quantize.cost import LAYER_IMAGES
from legoexport.report.facts import Facts

NONE = "-"
MOST_NAMES = 20
OUTPUTS_NOTE = (
    "SQNR is the power of the trained network's outputs over that of the change. Same class: the"
    " largest score is that of the trained network."
)
LAYERS_NOTE = (
    f"On the first images, about {LAYER_IMAGES}, from what enters a layer in the trained network:"
    " errors of the layers before have no part in it."
)
INTEGERS_NOTE = (
    "Each layer is judged on the integers that it really got: one is right, or two next to a tie of"
    " the rounding. The error is the distance from exact arithmetic, as a share of 255 steps."
)
RANGE_NOTE = (
    "Range is what the integers of its output reach, clipped the share of the output beyond it."
)


@dataclass(frozen=True)
class Table:
    """Rows under headings; the first cell of a row names it.

    Attributes:
        caption: What it is.
        columns: Headings.
        rows: Cells.
        note: How to read it.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    note: str = ""


def summary(facts: Facts) -> Table:
    """Return what matters most, beside the dense twin."""
    own, twin = facts.inventory.totals, facts.inventory.dense_twin
    subject = facts.subject
    rows: list[Sequence[object]] = [
        _beside("file size", subject.size_bytes, _twin_bytes(facts), format_bytes),
        _beside("parameters", own.weights_coefficients, twin.weights_coefficients, format_count),
        _beside("multiply-adds", own.counted_macs, twin.counted_macs, format_count),
        _latency_row(facts.measured),
    ]
    rights = facts.rights
    if rights is not None:
        cells = [_share(count, rights.images_count) for count in _counts(facts)]
        rows.append(["accuracy", *cells, ""])
    return Table(
        "This file beside its dense twin",
        ("for one image", "this file", "dense twin", "ratio"),
        rows,
        _summary_note(facts),
    )


def _summary_note(facts: Facts) -> str:
    measured, timing = facts.measured, facts.timing
    latency, threads = timing.latency, timing.threads
    lines = [
        "Parameters are weights and coefficients; multiply-adds count the maps in use and the"
        " merge.",
        f"Latency is the median of {latency.runs_count} runs, 90 % of them below"
        f" {latency.p90_ms:.3f} ms, on {threads} thread{'s' if threads > 1 else ''} of"
        f" {timing.runtime}.",
    ]
    if isinstance(measured, Comparison):
        lines.append(f"{measured}, with its 95 % interval.")
    else:
        lines.append("The size of the dense twin is counted, not measured; --vs takes a file.")
    if facts.rights is not None:
        lines.append(
            f"Accuracy is that on {facts.rights.images_count} labelled images;"
            f" {facts.rights.model_count} are right."
        )
    return " ".join(lines)


def _beside(label: str, own: int, twin: int, form: Callable[[float], str]) -> Sequence[object]:
    return [label, form(own), form(twin), format_ratio(twin / own)]


def _twin_bytes(facts: Facts) -> int:
    return facts.subject.other_size_bytes or facts.inventory.dense_twin.stored.total_bytes


def _latency_row(measured: Timing | Comparison) -> Sequence[object]:
    if isinstance(measured, Timing):
        return ["latency, median", f"{measured.latency.p50_ms:.3f} ms", NONE, NONE]
    both = [f"{one.latency.p50_ms:.3f} ms" for one in (measured.timing, measured.other)]
    speedup = measured.speedup
    interval = f"[{speedup.low_ratio:.2f}, {speedup.high_ratio:.2f}]"
    return ["latency, median", *both, f"{format_ratio(speedup.estimate_ratio)} {interval}"]


def _counts(facts: Facts) -> list[int | None]:
    return [facts.rights.model_count, facts.rights.other_count] if facts.rights else []


def _share(count: int | None, images_count: int) -> str:
    return NONE if count is None else f"{count / images_count:.2%}"


def totals(facts: Facts) -> Table:
    """Return every count, as ``inspect`` prints it."""
    rows = inventory_view.total_rows(facts.inventory)
    return Table("Totals, counted", inventory_view.TOTAL_COLUMNS, rows)


def layers(facts: Facts) -> Table:
    """Return the Lego layers: sizes, what computes them, in what and where."""
    columns = (
        *("layer", "o", "m", "n", "c", "kernel"),
        *("filters used", "lowering", "computes in", "on"),
    )
    rows = [
        (
            row.layer,
            *(row.shape.o, row.shape.m, row.shape.n, row.shape.c),
            "x".join(map(str, row.shape.kernel)),
            f"{row.shape.filters_used}/{row.shape.m}",
            row.lowering or NONE,
            "int8" if row.lowering in INT8_LOWERINGS else "fp32",
            row.partition or NONE,
        )
        for row in facts.inventory.rows
    ]
    return Table(
        "Lego layers of the file",
        columns,
        rows,
        "o fragments, m Lego filters, n output and c input channels.",
    )


def agreements(facts: Facts) -> Table:
    """Return how close the outputs are, as ``verify`` prints it."""
    rows = parity_view.agreement_rows(facts.verification.all_agreements)
    return Table("Outputs against PyTorch float64", parity_view.AGREEMENT_COLUMNS, rows)


def layer_errors(facts: Facts) -> Table:
    """Return how close every layer is, as ``verify --per-layer`` prints it."""
    rows = parity_view.layer_rows(facts.verification.layers)
    if facts.subject.precision == "int8":
        caption, note = "Lego layers against the right integers", INTEGERS_NOTE
    else:
        caption, note = "Lego layers against PyTorch float64", ""
    return Table(caption, parity_view.LAYER_COLUMNS, rows, note)


def precision(facts: Facts) -> Table:
    """Return what rounding costs the outputs, as ``verify --data`` prints it."""
    subject = facts.subject
    rows = [] if facts.cost is None else quantize_view.files_rows(facts.cost)
    title = quantize_view.files_title(subject.precision, subject.store)
    return Table(title, quantize_view.FILES_COLUMNS, rows, OUTPUTS_NOTE)


def layer_precision(facts: Facts) -> Table:
    """Return what rounding costs each layer, as ``verify --data`` prints it."""
    costs = () if facts.cost is None else facts.cost.layers
    note = f"{LAYERS_NOTE} {RANGE_NOTE}" if quantize_view.has_integers(costs) else LAYERS_NOTE
    return Table(*quantize_view.layers_table(costs), note)


def masks(facts: Facts) -> Table:
    """Return how settled and how even the masks are."""
    columns = ("layer", "choices", "ties", "thin margins", "unused filters", "evenness")
    rows = [
        (
            one.audit.layer,
            *(one.audit.entries_count, one.audit.ties_count, one.audit.thin_margins_count),
            *(one.audit.unused_filters_count, f"{one.audit.evenness_ratio:.3f}"),
        )
        for one in facts.layers
    ]
    note = "Evenness is the entropy of the uses of the filters over the largest it can be."
    return Table("Masks of the checkpoint", columns, rows, note)


def placement(facts: Facts) -> Table:
    """Return what each provider takes of the graph."""
    rows = [
        (
            *(one.provider, one.nodes_count, one.placed_count, one.partitions_count),
            ", ".join(map(_operator, one.unsupported_ops)) or NONE,
            "yes" if one.fixed_batch else "once the batch is fixed",
        )
        for one in facts.partitions
    ]
    rows += [
        (f"{name} (here)", count, count, 1, NONE, "yes")
        for name, count in facts.placed_here.items()
    ]
    columns = ("provider", "nodes", "taken", "partitions", "operators not taken", "holds")
    return Table("Partitions of the graph", columns, rows)


def _operator(name: str) -> str:
    """Leave out the domain that nearly all operators have, so that narrow columns hold a name."""
    return name.removeprefix("ai.onnx:")


def provenance(facts: Facts) -> Table:
    """Return the files with their digests, and what the ONNX file says of itself."""
    subject = facts.subject
    rows = [
        ("checkpoint", subject.checkpoint),
        ("checkpoint, sha256", subject.checkpoint_sha256),
        ("ONNX file", subject.model),
        ("ONNX file, sha256", subject.model_sha256),
        *([("dense network", subject.other)] if subject.other else []),
        *subject.provenance.items(),
        *([("classes", _listed(subject.class_names))] if subject.class_names else []),
    ]
    return Table("Provenance", ("what", "value"), rows)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def machine(facts: Facts) -> Table:
    """Return the machine that measured."""
    return Table("Machine", ("what", "value"), facts.machine)

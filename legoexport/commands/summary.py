"""The summary that ends a conversion."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from legoexport.bench.timing import Memory
from legoexport.commands import inventory_view as view
from legoexport.convert import Conversion
from legoexport.freeze import LayerAudit
from legoexport.inventory import Inventory
from legoexport.inventory_onnx import summarize_model
from legoexport.models.checkpoint import Checkpoint
from legoexport.ort_format import CONFIG_SUFFIX
from legoexport.packaging import Package
from legoexport.partitions import check_partitions, placements_here
from legoexport.report import format_bytes, format_ratio, print_json, print_table, print_text
from legoexport.stages import CompileOptions
from legoexport.tune import Tuned


@dataclass(frozen=True)
class Outcome:
    """All that a conversion leaves behind.

    Attributes:
        conversion: The proved ONNX file.
        checkpoint: Where it came from.
        options: What it was compiled for.
        out: The file that was written.
        dense_twin_size_bytes: Size of the same function as a dense network.
        package: The file in ORT format, where that was asked for.
        memory: Of a process that loads and runs the file, on one CPU thread.
        dense_twin_memory: The same for the dense network.
    """

    conversion: Conversion
    checkpoint: Checkpoint
    options: CompileOptions
    out: Path
    dense_twin_size_bytes: int
    package: Package | None
    memory: Memory
    dense_twin_memory: Memory


def print_summary(outcome: Outcome, *, as_json: bool) -> None:
    """Print what was read, what was written, what it costs, and how well it was proved."""
    conversion, checkpoint = outcome.conversion, outcome.checkpoint
    inventory = summarize_model(onnx.load_from_string(conversion.model_bytes))
    if as_json:
        print_json(_as_json(outcome, inventory))
        return
    print_text(f"read     {checkpoint.path}: {checkpoint.form}, {checkpoint.arch}")
    print_text(f"target   {_target(outcome.options, conversion)}")
    print_text(f"layers   {len(conversion.compiled.layers)} Lego layers: {_lowerings(conversion)}")
    if conversion.tuned:
        print_text(f"tuned    {_tuned(conversion.tuned)}")
    print_text(f"masks    {_audit(conversion.network.audits)}")
    print_text(f"proof    {conversion.agreement}")
    if outcome.package:
        print_text(f"proof    in ORT format: {outcome.package.agreement}")
    for line in _placement(outcome):
        print_text(f"runs     {line}")
    print_text("")
    print_table("What it costs", view.TOTAL_COLUMNS, view.total_rows(inventory))
    print_text("")
    print_text(f"memory   {_memory(outcome)}")
    print_text(f"wrote    {_written(outcome)}")


def _target(options: CompileOptions, conversion: Conversion) -> str:
    target = options.target
    batch = "open batch"
    if not options.final_dynamic_batch:
        dims = conversion.compiled.model.graph.input[0].type.tensor_type.shape.dim
        size = dims[0].dim_value
        chosen = options.dynamic_batch is None
        batch = f"batch {size}" + (
            ", the target's choice (--batch N for another)" if chosen else ""
        )
    return f"{target.name}: opset {options.final_opset}, IR {target.ir_version}, {batch}"


def _placement(outcome: Outcome) -> list[str]:
    model_bytes = outcome.conversion.model_bytes
    here = placements_here(model_bytes, outcome.options.target.providers)
    placed = ", ".join(f"{name} {count} nodes" for name, count in here.items())
    return [*map(str, check_partitions(model_bytes)), f"{placed} of this onnxruntime"]


def _memory(outcome: Outcome) -> str:
    own, twin = outcome.memory.own_peak_bytes, outcome.dense_twin_memory.own_peak_bytes
    if own is None or twin is None:
        return "not told by this system"
    return f"{format_bytes(own)} at most to load and run it, the dense twin {format_bytes(twin)}"


def _written(outcome: Outcome) -> str:
    twin = f"the dense twin takes {format_bytes(outcome.dense_twin_size_bytes)} as ONNX"
    if outcome.package is None:
        return f"{outcome.out}: {format_bytes(len(outcome.conversion.model_bytes))}; {twin}"
    return "\n         ".join([*_folded(outcome.package, outcome.out), twin])


def _folded(package: Package, out: Path) -> list[str]:
    before, after = format_bytes(package.onnx_size_bytes), format_bytes(package.size_bytes)
    return [
        f"{out}: {after} in ORT format, {format_ratio(package.growth_ratio)} the {before} of ONNX:"
        " weights are folded for good",
        f"{package.smallest_lowering} grows least here (--prefer {package.smallest_lowering})",
        f"{out.with_suffix(CONFIG_SUFFIX)}: the operators for a reduced build",
    ]


def _lowerings(conversion: Conversion) -> str:
    counts = Counter(conversion.compiled.plan.lowerings.values())
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _tuned(tuned: Tuned) -> str:
    ratios = [
        f"{s.estimate_ratio:.2f}x [{s.low_ratio:.2f}, {s.high_ratio:.2f}] at {threads} threads"
        for threads, s in tuned.speedups.items()
    ]
    return f"{tuned.name}, over the dense plan {', '.join(ratios)}; took {tuned.seconds:.0f} s"


def _audit(audits: tuple[LayerAudit, ...]) -> str:
    totals = {
        "choices": sum(audit.entries_count for audit in audits),
        "ties": sum(audit.ties_count for audit in audits),
        "thin margins": sum(audit.thin_margins_count for audit in audits),
        "unused filters": sum(audit.unused_filters_count for audit in audits),
    }
    evenness = min((audit.evenness_ratio for audit in audits), default=1.0)
    counted = ", ".join(f"{count} {name}" for name, count in totals.items())
    return f"{counted}; least even use of a bank {evenness:.2f}"


def _as_json(outcome: Outcome, inventory: Inventory) -> dict[str, Any]:
    conversion, checkpoint, options = outcome.conversion, outcome.checkpoint, outcome.options
    package, model_bytes = outcome.package, conversion.model_bytes
    return {
        "checkpoint": str(checkpoint.path),
        "checkpoint_sha256": checkpoint.sha256,
        "form": checkpoint.form,
        "arch": checkpoint.arch,
        "target": options.target.name,
        "opset": options.final_opset,
        "dynamic_batch": options.final_dynamic_batch,
        "partitions": [one.to_json() for one in check_partitions(model_bytes)],
        "placed_here": dict(placements_here(model_bytes, options.target.providers)),
        "out": str(outcome.out),
        "size_bytes": len(model_bytes) if package is None else package.size_bytes,
        "ort": None if package is None else package.to_json(),
        "dense_twin_size_bytes": outcome.dense_twin_size_bytes,
        "memory": asdict(outcome.memory),
        "dense_twin_memory": asdict(outcome.dense_twin_memory),
        "plan": dict(conversion.compiled.plan.lowerings),
        "tuned": None if conversion.tuned is None else conversion.tuned.to_json(),
        "passes": list(conversion.compiled.stages),
        "audit": [vars(audit) for audit in conversion.network.audits],
        "freeze_agreement": conversion.network.agreement,
        "parity": conversion.agreement.to_json(),
        **view.as_json(inventory),
    }

"""The summary that ends a conversion."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

import onnx

from legoexport.commands import cost_view
from legoexport.commands.outcome_view import (
    Outcome,
    cost_model_line,
    memory_line,
    placement_lines,
    target_line,
    written_lines,
)
from legoexport.compile.freeze import LayerAudit
from legoexport.compile.stages import CompileOptions
from legoexport.deliver.conversion import Conversion
from legoexport.host.report import print_json, print_table, print_text
from legoexport.inspect import view
from legoexport.inspect.inventory import Inventory
from legoexport.inspect.inventory_onnx import summarize_model
from legoexport.ort.partitions import check_partitions, placements_here
from legoexport.quantize.revert import Held
from legoexport.quantize.settle import calibration_record
from legoexport.tune import Tuned


def print_summary(outcome: Outcome, *, as_json: bool) -> None:
    """Print what was read, what was written, what it costs, and how well it was proved."""
    conversion, checkpoint = outcome.conversion, outcome.checkpoint
    inventory = summarize_model(onnx.load_from_string(conversion.model_bytes))
    if as_json:
        print_json(_as_json(outcome, inventory))
        return
    print_text(f"read     {checkpoint.path}: {checkpoint.form}, {checkpoint.arch}")
    print_text(f"target   {target_line(outcome.options, conversion)}")
    print_text(f"layers   {len(conversion.compiled.layers)} Lego layers: {_lowerings(conversion)}")
    if outcome.options.asks_the_cost_model:
        print_text(f"plan     {cost_model_line(outcome.options)}")
    if conversion.tuned:
        print_text(f"tuned    {_tuned(conversion.tuned)}")
    print_text(f"masks    {_audit(conversion.network.audits)}")
    for line in _proof_lines(conversion):
        print_text(line)
    if conversion.compiled.pixels:
        print_text(f"input    pixels, uint8: {conversion.compiled.pixels_remark}")
    if resize := conversion.compiled.resize:
        sizes = ("{}x{}".format(*one) for one in (resize.source, resize.size))
        print_text(f"resize   {' to '.join(sizes)} inside, equal to Pillow to the bit")
    if outcome.package:
        print_text(f"proof    in ORT format: {outcome.package.agreement}")
    for line in placement_lines(outcome):
        print_text(f"runs     {line}")
    print_text("")
    print_table("What it costs", view.TOTAL_COLUMNS, view.total_rows(inventory))
    if conversion.held:
        cost_view.print_held(conversion.held)
    if conversion.cost:
        options = outcome.options
        cost_view.print_cost(conversion.cost, options.precision, options.store)
    print_text("")
    print_text(f"memory   {memory_line(outcome)}")
    for line in written_lines(outcome):
        print_text(f"wrote    {line}")


def _proof_lines(conversion: Conversion) -> list[str]:
    calibration, walked = conversion.calibration, conversion.integers
    if calibration is None or walked is None:
        return [f"proof    {conversion.agreement}"]
    values = sum(one.values_count for one in walked.layers)
    ties = sum(one.ties_count for one in walked.layers)
    note = calibration.few_images_note
    return [
        f"runs     {conversion.computes}",
        f"ranges   {calibration.method} over {calibration.images_count} images"
        f" (sha256 {calibration.sha256[:12]}); its halves differ by"
        f" {calibration.worst_half_difference_ratio:.0%} at most",
        *([f"warning  {note}"] if note else []),
        f"proof    {len(walked.lego)} Lego layers and {len(walked.between)} pieces between them"
        f" equal an independent implementation: {values} integers, {ties} within rounding of a tie",
        f"proof    the network that they follow, in float: {conversion.float_agreement}",
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


def _int8(conversion: Conversion) -> dict[str, Any] | None:
    calibration, computes = conversion.calibration, conversion.computes
    walked = conversion.integers
    if calibration is None or computes is None or walked is None:
        return None
    return {
        "calibration": json.loads(calibration_record(calibration)),
        "few_images_note": calibration.few_images_note,
        "computes": dict(computes.integers),
        "in_float": list(computes.floats),
        "float_parity": conversion.float_agreement and conversion.float_agreement.to_json(),
        "layers": [one.to_json() for one in walked.lego],
        "between": [one.to_json() for one in walked.between],
        "max_drop": conversion.held and _held(conversion.held),
        "cost": conversion.cost and conversion.cost.to_json(),
    }


def _held(held: Held) -> dict[str, Any]:
    return {
        "max_drop_points": held.max_drop_points,
        "first_drop_points": held.first_drop_points,
        "drop_points": held.drop_points,
        "reverted": [asdict(one) for one in held.reverted],
    }


def _cost_model(options: CompileOptions) -> dict[str, Any] | None:
    if not options.asks_the_cost_model:
        return None
    constants = options.preference.constants
    return {
        "processor": constants.processor,
        "onnxruntime": constants.onnxruntime,
        "built_in": constants.is_built_in,
        "sha256": constants.sha256,
    }


def _as_json(outcome: Outcome, inventory: Inventory) -> dict[str, Any]:
    conversion, checkpoint, options = outcome.conversion, outcome.checkpoint, outcome.options
    package, model_bytes = outcome.package, conversion.model_bytes
    int8 = _int8(conversion)
    return {
        "checkpoint": str(checkpoint.path),
        "checkpoint_sha256": checkpoint.sha256,
        "form": checkpoint.form,
        "arch": checkpoint.arch,
        "input": "image" if conversion.compiled.pixels else "tensor",
        "output": conversion.compiled.output,
        "resize": conversion.compiled.resize and asdict(conversion.compiled.resize),
        "input_remark": conversion.compiled.pixels_remark,
        "normalization": checkpoint.normalization and asdict(checkpoint.normalization),
        "target": options.target.name,
        "opset": conversion.compiled.opset,
        "dynamic_batch": options.final_dynamic_batch,
        "partitions": [one.to_json() for one in check_partitions(model_bytes)],
        "placed_here": dict(placements_here(model_bytes, options.target.providers)),
        "out": str(outcome.out),
        "size_bytes": len(model_bytes) if package is None else package.size_bytes,
        "ort": None if package is None else package.to_json(),
        "dense_twin_size_bytes": outcome.dense_twin and outcome.dense_twin.stat().st_size,
        "memory": asdict(outcome.memory),
        "dense_twin_memory": outcome.dense_twin_memory and asdict(outcome.dense_twin_memory),
        "plan": dict(conversion.compiled.plan.lowerings),
        "cost_model": _cost_model(options),
        "store": options.store,
        "store_cost": conversion.cost.to_json() if conversion.cost and not int8 else None,
        "precision": options.precision,
        "int8": int8,
        "tuned": None if conversion.tuned is None else conversion.tuned.to_json(),
        "passes": list(conversion.compiled.stages),
        "audit": [vars(audit) for audit in conversion.network.audits],
        "freeze_agreement": conversion.network.agreement,
        "parity": conversion.agreement.to_json(),
        **view.as_json(inventory),
    }

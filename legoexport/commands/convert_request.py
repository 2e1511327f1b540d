"""What ``legoexport convert`` is asked for, as it is typed: an attribute for each option."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from legoexport.lego.scales import Precision
from legoexport.lego.storage import Store
from legoexport.quantize.calibrators import Method


@dataclass(frozen=True)
class ConvertRequest:
    """The command line, before any option is held against another.

    Attributes:
        checkpoint: The file to convert.
        out: The file to write.
        file_format: ``onnx`` or ``ort``; None goes by the name of ``out``.
        arch: Architecture of a bare state_dict.
        settings: Its hyperparameters, ``KEY=VALUE`` each.
        factory: ``package.module:factory`` of the user's own network.
        input_size: ``(h, w)`` in pixels, if the checkpoint does not say.
        batch: ``dynamic`` or a number; None leaves it to the target.
        opset: None for the target's.
        target_name: What to compile for.
        plan_file: JSON with a lowering for each layer.
        prefer: A lowering to use wherever it serves.
        save_plan: Where to write the plan that was used.
        save_stages: Folder for the model after each pass.
        max_size: Largest file that is accepted, with its unit.
        dense_twin: Where to write the same function as a dense network.
        objective: What the plan saves.
        machine: File with the constants of the cost model, or ``built-in``.
        store: What the file holds of weights.
        precision: What the file computes in.
        calibration: How the ranges of activations are chosen; None for the default.
        max_drop: Percentage points of accuracy that int8 may lose.
        data: Real images.
        tune: Whether to measure plans.
        threads: Thread counts to choose the plan for, with commas between.
        budget: Seconds that measuring plans may take; None for the default.
        runtime: Where plans are measured; None for here.
        force: Whether outputs may replace files of another kind.
        as_json: Whether the summary is JSON.
    """

    checkpoint: Path
    out: Path
    file_format: str | None
    arch: str | None
    settings: tuple[str, ...]
    factory: str | None
    input_size: tuple[int, int] | None
    batch: str | None
    opset: int | None
    target_name: str
    plan_file: Path | None
    prefer: str | None
    save_plan: Path | None
    save_stages: Path | None
    max_size: str | None
    dense_twin: Path | None
    objective: str
    machine: str | None
    store: Store
    precision: Precision
    calibration: Method | None
    max_drop: float | None
    data: Path | None
    tune: bool
    threads: str
    budget: float | None
    runtime: str | None
    force: bool
    as_json: bool

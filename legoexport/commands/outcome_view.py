"""What a conversion leaves behind, in the lines of its summary: target, placement, files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.conversion import Conversion
from legoexport.deliver.ort_format import config_path
from legoexport.deliver.packaging import Package
from legoexport.host.outputs import is_standard_output
from legoexport.host.report import format_bytes, format_ratio
from legoexport.measure.timing import Memory
from legoexport.models.checkpoint import Checkpoint
from legoexport.ort.partitions import check_partitions, placements_here


@dataclass(frozen=True)
class Outcome:
    """All that a conversion leaves behind.

    Attributes:
        conversion: The proved ONNX file.
        checkpoint: The checkpoint it came from.
        options: What it was compiled for.
        out: The file that was written.
        package: The file in ORT format, if it was asked for.
        memory: Memory of a process that loads and runs the file on one CPU thread.
        dense_twin: The same function as a dense network, where that was asked for.
        dense_twin_memory: The memory of that.
    """

    conversion: Conversion
    checkpoint: Checkpoint
    options: CompileOptions
    out: Path
    package: Package | None
    memory: Memory
    dense_twin: Path | None
    dense_twin_memory: Memory | None


def target_line(options: CompileOptions, conversion: Conversion) -> str:
    """Return the target, opset, IR version and batch of the file."""
    target = options.target
    batch = "open batch"
    if not options.final_dynamic_batch:
        dims = conversion.compiled.model.graph.input[0].type.tensor_type.shape.dim
        size = dims[0].dim_value
        chosen = options.dynamic_batch is None
        batch = f"batch {size}" + (
            ", the target's choice (--batch N for another)" if chosen else ""
        )
    opset = f"opset {conversion.compiled.opset}"
    if conversion.compiled.opset != options.final_opset:
        opset += f" (operators of the network need more than {options.final_opset})"
    return f"{target.name}: {opset}, IR {target.ir_version}, {batch}"


def cost_model_line(options: CompileOptions) -> str:
    """Return whose constants the cost model took."""
    constants = options.preference.constants
    if constants.is_built_in:
        whose = f"{constants.processor}, built in (legoexport calibrate measures this machine)"
    else:
        whose = f"{constants.processor}, measured, sha256 {constants.sha256[:12]}"
    return f"by the cost model of {whose}"


def placement_lines(outcome: Outcome) -> list[str]:
    """Return what each provider takes: phones' providers by table, local ones by asking them."""
    model_bytes = outcome.conversion.model_bytes
    here = placements_here(model_bytes, outcome.options.target.providers)
    placed = ", ".join(f"{name} {count} nodes" for name, count in here.items())
    return [*map(str, check_partitions(model_bytes)), f"{placed} of this onnxruntime"]


def memory_line(outcome: Outcome) -> str:
    """Return the peak memory of a process that runs the file, and of one that runs its twin."""
    own = outcome.memory.own_peak_bytes
    if own is None:
        return "not told by this system"
    twin = outcome.dense_twin_memory.own_peak_bytes if outcome.dense_twin_memory else None
    beside = "" if twin is None else f", the dense twin {format_bytes(twin)}"
    return f"{format_bytes(own)} at most to load and run it{beside} (on this CPU)"


def written_lines(outcome: Outcome) -> list[str]:
    """Return the files that were written and their sizes."""
    out = "standard output" if is_standard_output(outcome.out) else outcome.out
    lines = [f"{out}: {format_bytes(len(outcome.conversion.model_bytes))}"]
    if outcome.package:
        lines = _folded(outcome.package, outcome.out)
    if outcome.dense_twin:
        size = format_bytes(outcome.dense_twin.stat().st_size)
        lines.append(f"{outcome.dense_twin}: {size}, the same function as a dense network")
    return lines


def _folded(package: Package, out: Path) -> list[str]:
    before, after = format_bytes(package.onnx_size_bytes), format_bytes(package.size_bytes)
    return [
        f"{out}: {after} in ORT format, {format_ratio(package.growth_ratio)} the {before} of ONNX:"
        " weights are folded for good",
        f"{package.smallest_lowering} grows least here (--prefer {package.smallest_lowering})",
        f"{config_path(out)}: the operators for a reduced build",
    ]

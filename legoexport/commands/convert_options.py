"""The options of ``legoexport convert``: from text to checked values."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from legoexport.commands.convert_request import ConvertRequest
from legoexport.commands.quantities import SIZE_UNITS, quantity
from legoexport.commands.thread_options import MOST_THREADS
from legoexport.errors import UsageError
from legoexport.runtimes import HERE, find_runtime
from legoexport.target import Target, find_target

if TYPE_CHECKING:
    from legoexport.compile.stages import CompileOptions
    from legoexport.lego.scales import Precision
    from legoexport.lego.storage import Store
    from legoexport.passes.preference import Preference
    from legoexport.tune import TuneOptions

FORMATS = ("onnx", "ort")
BUILT_IN_NAME = "built-in"
DEFAULT_BUDGET_S = 60.0
# Bytes, too, where no unit is given.
UNITS_OF_ANY_CASE = {"": 1.0} | {
    "".join(letters): number
    for unit, number in SIZE_UNITS.items()
    for letters in product(*((letter, letter.lower()) for letter in unit))
}


def compile_options(request: ConvertRequest, preference: Preference) -> CompileOptions:
    """Return what ``--target``, ``--opset``, ``--batch``, ``--plan`` and so on ask for.

    Raises:
        UsageError: A value is not legal, or two contradict each other.
    """
    from legoexport.compile.stages import CompileOptions
    from legoexport.passes.plan import Plan

    target, plan_file, batch = find_target(request.target_name), request.plan_file, request.batch
    if request.prefer is not None:
        target = _preferring(target, request.prefer, plan_file)
    plan = None
    if plan_file is not None:
        plan = Plan.from_json(_read_text(plan_file), source=str(plan_file))
    return CompileOptions(
        target,
        request.opset,
        dynamic_batch=None if batch is None else batch_size(batch) is None,
        plan=plan,
        preference=preference,
        store=request.store,
        precision=request.precision,
    )


def preference(objective: str, threads: str, *, ort_format: bool) -> Preference:
    """Return what ``--objective``, ``--threads`` and the format of the file ask for.

    Raises:
        UsageError: ``threads`` are not numbers of threads.
    """
    from legoexport.passes.preference import Preference

    try:
        counts = tuple(int(count) for count in threads.split(","))
    except ValueError:
        counts = ()
    if not counts or max(counts) > MOST_THREADS:
        legal = f"such as 1 or 1,4, each up to {MOST_THREADS}"
        raise UsageError("--threads", received=threads, legal=legal)
    return Preference(objective, counts, ort_format=ort_format)


def with_constants(options: CompileOptions, machine: str | None) -> CompileOptions:
    """Let the plan depend on what ``--machine`` names, or on what was measured on this processor.

    Only a target that chooses by time, which is one that runs here, takes the latter by itself.

    Raises:
        UsageError: No plan would depend on it, or the file holds no constants.
    """
    from legoexport.measure.calibration.kept import constants_for_this_processor, read_constants

    if machine == BUILT_IN_NAME:
        return options
    if machine is not None and not options.asks_the_cost_model:
        raise UsageError(
            f"--machine changes nothing here: target {options.target.name} does not choose by"
            " time, or --plan or --prefer chooses",
            next_step="leave --machine out",
        )
    if machine is not None:
        constants = read_constants(Path(machine))
    elif options.asks_the_cost_model and options.target.choice == "time":
        constants = constants_for_this_processor() or options.preference.constants
    else:
        return options
    return replace(options, preference=replace(options.preference, constants=constants))


def check_store(store: Store, data: Path | None, precision: Precision, *, as_ort: bool) -> None:
    """Hold ``--store`` and ``--data`` against each other and against the format of the file.

    Raises:
        UsageError: The file would hold whole weights after all, or the images would serve nothing.
    """
    if as_ort and store != "fp32":
        raise UsageError(
            "ORT format folds codes back into whole weights: the file would not get smaller",
            received=f"--store {store}",
            legal="--store fp32 for .ort, or --out with .onnx",
            next_step="write .onnx, or leave --store out",
        )
    if store == "fp32" and precision == "fp32" and data is not None:
        raise UsageError(
            "--data tells what --store costs; fp32 costs nothing",
            next_step="leave --data out, or choose --store fp16 or int8",
        )


def check_unused(request: ConvertRequest) -> None:
    """Hold each option against the one that it belongs to.

    Raises:
        UsageError: An option would change nothing.
    """
    for option, value, owner, has_owner in (
        ("--budget", request.budget, "--tune", request.tune),
        ("--runtime", request.runtime, "--tune", request.tune),
        ("--calibration", request.calibration, "--precision int8", request.precision == "int8"),
    ):
        if value is not None and not has_owner:
            raise UsageError(
                f"{option} changes nothing without {owner}",
                received=f"{option} {value}",
                next_step=f"add {owner}, or leave {option} out",
            )


def tuning(request: ConvertRequest, preference: Preference) -> TuneOptions:
    """Return what ``--budget`` and ``--runtime`` ask for.

    Raises:
        UsageError: A value is not legal, ``--plan`` or ``--prefer`` gives a plan already, or
            ``--objective`` asks for what is not measured.
    """
    if preference.objective != "latency":
        raise UsageError(
            "--tune measures latency",
            received=f"--objective {preference.objective}",
            next_step="leave one out",
        )
    if request.plan_file or request.prefer:
        raise UsageError(
            "--tune finds a plan; --plan and --prefer give one", next_step="leave one out"
        )
    from legoexport.tune import TuneOptions

    runtime = request.runtime or HERE
    find_runtime(runtime)
    budget_s = DEFAULT_BUDGET_S if request.budget is None else request.budget
    return TuneOptions(preference.threads, budget_s, runtime)


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}", received=error) from None


def batch_size(text: str | None) -> int | None:
    """Return the size that ``--batch`` fixes, or None if it fixes none.

    Raises:
        UsageError: ``text`` is neither ``dynamic`` nor a positive number.
    """
    if text is None or text == "dynamic":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError("--batch", received=text, legal="dynamic, or a number from 1 on")
    return int(text)


def size_bytes(text: str) -> int:
    """Return the bytes of a size such as ``4MB``.

    Raises:
        UsageError: ``text`` is not a size.
    """
    legal = "a number above 0 with B, KB, MB or GB, such as 4MB"
    return int(quantity("--max-size", text, UNITS_OF_ANY_CASE, legal))


def is_ort(out: Path, file_format: str | None) -> bool:
    """Return whether to write ORT format, by ``--format`` or by the name of the file.

    Raises:
        UsageError: The two contradict each other: ONNX Runtime goes by the name when it loads.
    """
    named_ort = out.suffix == ".ort"
    if file_format is not None and named_ort != (file_format == "ort"):
        raise UsageError(
            f"{out} cannot hold {file_format}: ONNX Runtime tells the format by the name",
            received=out.suffix or "no suffix",
            legal=".ort for ORT format, anything else for ONNX",
        )
    return named_ort


def _preferring(target: Target, lowering: str, plan_file: Path | None) -> Target:
    if plan_file is not None:
        raise UsageError("--plan leaves nothing to prefer", next_step="leave --prefer out")
    from legoexport.passes.eligible import eligible
    from legoexport.passes.lowerings import find_lowering

    known = (*eligible(target), *target.int8_lowerings)
    if lowering not in known:
        find_lowering(lowering)
        legal = ", ".join(known)
        raise UsageError(f"target {target.name} lowers nothing so", received=lowering, legal=legal)
    others = (name for name in target.lowerings if name != lowering)
    return replace(target, lowerings=(lowering, *others), choice="order")

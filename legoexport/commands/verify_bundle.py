"""``legoexport verify --bundle``: a file against saved inputs and golden outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from legoexport.commands.verify_view import print_where
from legoexport.errors import ParityFailed
from legoexport.host.report import print_json, print_table, print_text, step_progress
from legoexport.parity import view
from legoexport.parity.agreement import Agreement
from legoexport.parity.bundle import read_bundle
from legoexport.parity.bundle import replay as replay_bundle
from legoexport.parity.golden import GoldenSet, judge_golden
from legoexport.parity.integer.replay import growth_elsewhere, open_to_replay
from legoexport.parity.judge import combine
from legoexport.parity.single import check_single
from legoexport.runtimes import HERE
from legoexport.runtimes.base import Feed, Replay, Runtime
from legoexport.runtimes.each import by_set_and_runtime, replays_json, run_each


def replay_files(
    bundle: Path,
    model_bytes: bytes,
    threads: int,
    elsewhere: Sequence[Runtime],
    *,
    as_json: bool,
) -> None:
    """Run a file on the inputs of a bundle and print how its outputs compare.

    Args:
        bundle: Folder of the bundle.
        model_bytes: The file.
        threads: Threads of ONNX Runtime.
        elsewhere: Runtimes whose outputs are judged; if empty, ONNX Runtime in this process.
        as_json: Print JSON.

    Raises:
        UsageError: The bundle cannot be read, or a runtime does not take the file.
        ParityFailed: The outputs are not those of the bundle.
    """
    sets = read_bundle(bundle, model_bytes)
    agreements, replays = _run_bundle(sets, model_bytes, threads, elsewhere)
    whole = combine(agreements)
    if as_json:
        by_set = {name: one.to_json() for name, one in agreements.items()}
        verdict = {"passed": whole.passed, "agreement": whole.to_json(), "sets": by_set}
        print_json(verdict | replays_json(replays))
    else:
        rows = view.agreement_rows(agreements)
        print_table("Outputs against the bundle", view.AGREEMENT_COLUMNS, rows)
        print_where(replays)
        print_text(str(whole))
    if not whole.passed:
        raise ParityFailed("the model does not give the golden outputs of the bundle")


def _run_bundle(
    sets: Sequence[GoldenSet], model_bytes: bytes, threads: int, elsewhere: Sequence[Runtime]
) -> tuple[dict[str, Agreement], tuple[Replay, ...]]:
    with step_progress() as progress:
        model = open_to_replay(model_bytes, threads)
        if not elsewhere:
            progress(f"running {HERE}")
            return replay_bundle(sets, model), ()
        check_single(model)
        feeds = [Feed(one.images, one.batch_size) for one in sets]
        replays = run_each(elsewhere, model_bytes, feeds, progress)
    judged = [
        judge_golden(
            sets,
            [(output,) for output in one.outputs],
            growth_elsewhere(model_bytes, one.rounding_growth),
        )
        for one in replays
    ]
    return by_set_and_runtime(elsewhere, judged), replays

"""The verdict on a file that computes in int8: its layers are proved, its outputs are measured.

What integers cost the outputs depends on the network and on the images, so there is no limit to
hold them to. Whether the file computes what it should is for the layers to show, and for the
comparison with the file that its checkpoint and its scales give.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from legoexport.host.progress import Progress
from legoexport.lego.output_form import top_count
from legoexport.lego.scales import LIMITS, ActivationType
from legoexport.ort.session import RuntimeModel, expose
from legoexport.parity.agreement import Agreement
from legoexport.parity.exact import ExactCheck
from legoexport.parity.integer.check import IntegerAgreement
from legoexport.parity.integer.elsewhere import run_elsewhere
from legoexport.parity.integer.golden_integers import Outputs, golden_integers
from legoexport.parity.integer.walk_file import FileWalk, IntegerGraph, Walked
from legoexport.parity.judge import measure_freely
from legoexport.parity.layer_check import LayerAgreement
from legoexport.parity.pair import ModelPair
from legoexport.parity.verification import Verification
from legoexport.passes.give_top import ALL_PROBABILITIES
from legoexport.runtimes.base import Runtime
from legoexport.runtimes.each import by_set_and_runtime

INTEGERS_NOTE = (
    "the file computes in int8: its layers are proved integer by integer, and its outputs are"
    " measured against PyTorch without a limit (random images leave the calibrated ranges)"
)


def judge_integers(
    pair: ModelPair,
    graph: IntegerGraph,
    exact: ExactCheck,
    progress: Progress,
    elsewhere: Sequence[Runtime],
) -> Verification:
    """Prove every layer here and on each runtime elsewhere, and measure the outputs.

    Args:
        pair: The file and its network.
        graph: The file and what its checkpoint makes of it.
        exact: How it differs from what the checkpoint gives.
        progress: Called with each step before it starts.
        elsewhere: Runtimes whose outputs are measured; if empty, ONNX Runtime in this process.

    Raises:
        UsageError: A runtime is not installed, or does not take the model.
        CheckFailed: A runtime stops, or its integers are not those of the network.
    """
    walk = FileWalk(graph)
    progress("measuring the outputs")
    replays, found = (
        run_elsewhere(pair.opened, walk, pair.inputs, elsewhere, progress)
        if elsewhere
        else ((), ())
    )
    here = _run_here(pair, walk.kernels)
    judged = [_measured(pair, one.outputs) for one in replays]
    first = [next(iter(one.values())) for one in here]
    agreements = by_set_and_runtime(elsewhere, judged) if judged else _measured(pair, first)
    progress("walking the layers")
    # The last set holds real images if there are any.
    walked = walk.run(pair.inputs[-1].images, pair.opened.threads)
    causes = [*walked.causes(0), *(cause for one in found for cause in one.causes)]
    notes = tuple(note for note in (INTEGERS_NOTE, pair.store_note, pair.checkpoint_note) if note)
    return Verification(
        agreements,
        _rows(walked),
        notes,
        (*causes, *exact.lines),
        exact=exact,
        replays=replays,
        elsewhere=found,
        golden=golden_integers(pair.opened, pair.inputs, here),
    )


def _run_here(pair: ModelPair, kernels: ActivationType | None) -> list[Outputs]:
    """Return the outputs for each set, by kernels that do not overflow here.

    Where those are the likeliest classes, the probabilities of all come behind them.
    """
    opened = pair.opened
    top = top_count(opened.facts.output) is not None
    model = expose(opened.model, (ALL_PROBABILITIES,)).SerializeToString() if top else None
    runtime = RuntimeModel(model or opened.model_bytes, opened.threads, exact_integers=kernels)
    return [runtime.run_all(one.arrays, one.batch_size) for one in pair.inputs]


def _measured(pair: ModelPair, outputs: Sequence[NDArray[np.float32]]) -> dict[str, Agreement]:
    """Compare the outputs of each set with PyTorch's."""
    return {
        inputs.name: measure_freely(reference.outputs[0].float64, actual)
        for inputs, reference, actual in zip(pair.inputs, pair.references, outputs, strict=True)
    }


def _rows(walked: Walked) -> tuple[LayerAgreement, ...]:
    """Return an entry for each Lego layer, and for all else that gives a wrong integer.

    Where there is none, one for each value that does not follow from those before it.
    """
    wrong = [one for one in walked.between if not one.passed]
    if not wrong and all(one.passed for one in walked.lego):
        wrong = [one for one in walked.origin if not one.passed]
    return tuple(map(layer_agreement, (*walked.lego, *wrong)))


def layer_agreement(one: IntegerAgreement) -> LayerAgreement:
    """Return the row of a layer: no wrong integer is within a limit, and every right one is.

    Ties of several maps may move a right integer by more than one step.
    """
    lowest, highest = LIMITS["uint8"]
    return LayerAgreement(
        layer=one.layer,
        lowering=one.lowering,
        relative_error=one.largest_step_difference / (highest - lowest),
        limit_ratio=min(1.0, one.largest_step_difference) if one.passed else float("inf"),
        worst_channel=one.first_wrong_channel or 0,
    )

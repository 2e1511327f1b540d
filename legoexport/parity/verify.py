"""Verify: a converted file against the network it came from, as a whole and layer by layer.

The file is read once, and one session of ONNX Runtime gives the outputs that are judged. Further
sessions run other graphs: ``walk`` exposes values, which keeps the optimizer from fusing across
them, and cuts each layer out; only a failed check is repeated without the optimizer and after each
pass, by ``diagnosis``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from numpy.typing import NDArray
from torch import nn

from legoexport.compile.freeze import FrozenNetwork, freeze
from legoexport.compile.stages import Stage
from legoexport.compile.stamp import read_stamp
from legoexport.errors import CheckFailed, LegoExportError, ParityFailed
from legoexport.host.progress import Progress
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.layer_records import read_layers
from legoexport.parity import rankings
from legoexport.parity.diagnosis import diagnose
from legoexport.parity.exact import ExactCheck, check_exactly
from legoexport.parity.expectation import (
    EmittedLayer,
    ExpectedLayer,
    emitted_layers,
    expected_layers,
)
from legoexport.parity.in_float import judge_in_float
from legoexport.parity.inputs import InputSet
from legoexport.parity.integer.verdict import judge_integers
from legoexport.parity.integer.walk import frozen_layers
from legoexport.parity.integer.walk_file import IntegerGraph
from legoexport.parity.judge import combine
from legoexport.parity.opened import OpenedModel, open_model
from legoexport.parity.pair import ModelPair, pair_up
from legoexport.parity.single import check_single
from legoexport.parity.verification import Verification
from legoexport.parity.walk import walk
from legoexport.passes.lowerings import INT8_LOWERINGS
from legoexport.runtimes.base import Feed, Runtime
from legoexport.runtimes.each import by_set_and_runtime, run_each

if TYPE_CHECKING:
    from legoexport.models.checkpoint import Checkpoint

__all__ = ["NO_LAYERS_NOTE", "Verification", "verify", "verify_opened"]


# What no pass has seen, and the Lego layers as they are lowered.
EMITTED, FOLDED = "emit", "drop_unused_pairs"
NO_LAYERS_NOTE = "no legoexport metadata in the model: judged as a whole, layers cannot be walked"


def verify(
    network: nn.Module | Checkpoint,
    model: Path | str | bytes,
    *,
    data: Path | str | NDArray[Any] | InputSet | None = None,
    threads: int = 1,
    progress: Progress = lambda _: None,
    elsewhere: Sequence[Runtime] = (),
) -> Verification:
    """Check a model against its network, as a whole and layer by layer, and find what is at fault.

    Args:
        network: The network in training form, in any mode, or a checkpoint that was read; it is
            left as it is.
        model: The ONNX file, by its path or by its bytes.
        data: Real images, judged beside random ones: a source as ``pictures.open_images`` takes
            it, or in memory ``(N, c, h, w)``, prepared as for training, or ``InputSet``.
        threads: Threads of ONNX Runtime.
        progress: Called with each step before it starts.
        elsewhere: Runtimes whose outputs are judged; if empty, ONNX Runtime in this process. The
            layers are always walked in this process, and those of a file in int8 there too.

    Raises:
        UsageError: The model does not load, its metadata is damaged, ``data`` does not fit, model
            and network differ in their shapes or layers, or a runtime elsewhere is missing or does
            not take the model.
        CheckFailed: PyTorch itself gives NaN or infinite values, or the runtime stops.
        ParityFailed: The file cannot be judged, and is not what the checkpoint gives.
    """
    opened = open_model(model, threads)
    return verify_opened(network, opened, data=data, progress=progress, elsewhere=elsewhere)


def verify_opened(
    network: nn.Module | Checkpoint,
    opened: OpenedModel,
    *,
    data: Path | str | NDArray[Any] | InputSet | None = None,
    progress: Progress = lambda _: None,
    elsewhere: Sequence[Runtime] = (),
) -> Verification:
    """Do what ``verify`` does with a model that is open already."""
    if elsewhere:
        check_single(opened.runtime)
    progress("running PyTorch")
    pair = pair_up(network, opened, data)
    again = None
    if read_stamp(opened.model):
        progress("converting again")
        again = _Again.of(pair)
    try:
        return _judge(pair, again, progress, elsewhere)
    except LegoExportError as error:
        if again is None or again.exact.passed:
            raise
        raise ParityFailed("\n".join((str(error), *again.exact.lines))) from error


@dataclass(frozen=True)
class _Again:
    """The network of a converted file, brought as far as the file was."""

    frozen: FrozenNetwork
    exact: ExactCheck
    layers: Mapping[str, EmittedLayer]
    tables: Mapping[str, FrozenLego]
    folded: onnx.ModelProto | None

    @classmethod
    def of(cls, pair: ModelPair) -> _Again:
        example = pair.opened.example()
        frozen = freeze(pair.module, example)
        stages: dict[str, onnx.ModelProto] = {}

        def keep(stage: Stage) -> None:
            if stage.name in (EMITTED, FOLDED):
                stages[stage.name] = stage.model

        exact = check_exactly(
            pair.opened,
            frozen,
            checkpoint_sha256=pair.checkpoint_sha256,
            normalization=pair.normalization,
            class_names=pair.class_names,
            observe=keep,
        )
        layers = emitted_layers(frozen, example, stages.get(EMITTED))
        tables = frozen_layers(stages[FOLDED]) if FOLDED in stages else {}
        return cls(frozen, exact, layers, tables, stages.get(FOLDED))

    def unrounded(self) -> onnx.ModelProto:
        """Return the network before anything in it becomes an integer.

        Raises:
            CheckFailed: The checkpoint does not compile as the metadata of the model says.
        """
        if self.folded is None or self.exact.rebuilt is None:
            raise CheckFailed(
                "the layers that compute in int8 cannot be proved",
                received="a checkpoint that does not compile by the metadata of the model",
                next_step="convert the checkpoint again",
            )
        return self.folded


def _judge(
    pair: ModelPair, again: _Again | None, progress: Progress, elsewhere: Sequence[Runtime]
) -> Verification:
    opened = pair.opened
    if again is not None and opened.facts.precision == "int8":
        unrounded = again.unrounded()
        graph = IntegerGraph(opened.model, again.tables, unrounded, again.exact.rebuilt)
        proved = judge_integers(pair, graph, again.exact, progress, elsewhere)
        progress("judging the network in float")
        return _with_origin(_with_floats(proved, pair, again), pair, unrounded)
    progress("judging the outputs")
    feeds = [Feed(one.images, one.batch_size) for one in pair.inputs] if elsewhere else []
    replays = run_each(elsewhere, opened.model_bytes, feeds, progress)
    judged = [pair.judge(replay) for replay in replays]
    agreements = by_set_and_runtime(elsewhere, judged) if judged else pair.judge_here()
    notes = tuple(note for note in (pair.store_note, pair.checkpoint_note) if note)
    whole = Verification(agreements, (), notes, (), replays=replays, golden=pair.golden())
    if again is None:
        return replace(whole, notes=(NO_LAYERS_NOTE, *notes))
    expected: tuple[ExpectedLayer, ...] = ()
    if opened.records:
        progress("walking the layers")
        expected = expected_layers(opened.model, opened.records, again.layers)
    layers = walk(opened.model, expected, pair.inputs[0], opened.threads) if expected else ()
    found = replace(whole, layers=layers, exact=again.exact)
    if found.passed:
        return found
    progress("looking for the cause")
    causes = diagnose(
        pair,
        again.frozen,
        expected,
        layers=layers,
        agreements=agreements,
        replays=replays,
        exact=again.exact,
    )
    ties = rankings.note(opened.model, found.agreement)
    return replace(found, diagnosis=(*causes, ties) if ties else causes)


def _with_floats(found: Verification, pair: ModelPair, again: _Again) -> Verification:
    """Add the Lego layers that a file in int8 leaves in float, each held to its own limit."""
    opened, rebuilt = pair.opened, again.exact.rebuilt
    records = () if rebuilt is None else read_layers(rebuilt) or ()
    floats = [
        one
        for one in expected_layers(opened.model, records, again.layers)
        if one.record.lowering not in INT8_LOWERINGS
    ]
    rows = walk(opened.model, floats, pair.inputs[0], opened.threads) if floats else ()
    wrong = (one for one in rows if not one.passed)
    causes = [
        f"first at fault: {one.layer} ({one.lowering}), {one.limit_ratio:.3g} times its limit"
        for one in wrong
    ]
    diagnosis = (*causes[:1], *found.diagnosis)
    return replace(found, layers=(*found.layers, *rows), diagnosis=diagnosis)


def _with_origin(found: Verification, pair: ModelPair, unrounded: onnx.ModelProto) -> Verification:
    """Add how well the network that the integers follow computes, in float, what PyTorch does."""
    in_float = judge_in_float(pair, unrounded)
    whole = combine(in_float)
    wrong = () if whole.passed else (f"wrong before anything is an integer: {whole}",)
    return replace(found, float_agreements=in_float, diagnosis=(*wrong, *found.diagnosis))

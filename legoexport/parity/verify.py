"""Verify: a converted file against the network it came from, as a whole and layer by layer.

The file is read once, and one session of ONNX Runtime gives the outputs that are judged. Further
sessions run other graphs: ``walk`` exposes values, which keeps the optimizer from fusing across
them, and cuts each layer out; only a failed check is repeated without the optimizer and after each
pass, by ``diagnosis``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import nn

from legoexport.compile.freeze import freeze
from legoexport.host.progress import Progress
from legoexport.parity.agreement import Agreement
from legoexport.parity.bundle import GoldenSet
from legoexport.parity.diagnosis import diagnose
from legoexport.parity.expectation import emitted_layers, expected_layers
from legoexport.parity.judge import combine
from legoexport.parity.layer_check import LayerAgreement
from legoexport.parity.opened import OpenedModel, open_model
from legoexport.parity.pair import pair_up
from legoexport.parity.walk import walk
from legoexport.runtimes.base import Feed, Replay, Runtime
from legoexport.runtimes.each import by_set_and_runtime, replays_json, run_each

if TYPE_CHECKING:
    from legoexport.models.checkpoint import Checkpoint


NO_LAYERS_NOTE = "no legoexport metadata in the model: judged as a whole, layers cannot be walked"


@dataclass(frozen=True)
class Verification:
    """The verdict.

    Attributes:
        agreements: Parity on each set of inputs, by its name.
        layers: One for each Lego layer in the order of the graph.
        notes: Remarks that hold whether the check passed or not.
        diagnosis: What is wrong and where it came from; empty if all is well.
        replays: What other runtimes computed, if they gave the outputs that were judged.
        golden: What ``bundle.save_bundle`` needs so that the check can be repeated without PyTorch.
    """

    agreements: Mapping[str, Agreement]
    layers: tuple[LayerAgreement, ...]
    notes: tuple[str, ...]
    diagnosis: tuple[str, ...]
    replays: tuple[Replay, ...] = ()
    golden: tuple[GoldenSet, ...] = field(default=(), repr=False, compare=False)

    @property
    def agreement(self) -> Agreement:
        """Parity over all sets of inputs."""
        return combine(self.agreements)

    @property
    def passed(self) -> bool:
        """Whether the network as a whole and every layer are within their limits."""
        return self.agreement.passed and all(layer.passed for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict and all that it rests on as JSON values."""
        return {
            "passed": self.passed,
            "agreement": self.agreement.to_json(),
            "sets": {name: one.to_json() for name, one in self.agreements.items()},
            "layers": [layer.to_json() for layer in self.layers],
            "notes": list(self.notes),
            "diagnosis": list(self.diagnosis),
            **replays_json(self.replays),
        }


def verify(
    network: nn.Module | Checkpoint,
    model: Path | str | bytes,
    *,
    data: Path | str | NDArray[Any] | None = None,
    threads: int = 1,
    progress: Progress = lambda _: None,
    elsewhere: Sequence[Runtime] = (),
) -> Verification:
    """Check a model against its network, as a whole and layer by layer, and find what is at fault.

    Args:
        network: The network in training form, in any mode, or a checkpoint that was read; it is
            left as it is.
        model: The ONNX file, by its path or by its bytes.
        data: Real images, judged beside random ones: ``.npy``, ``.npz`` with ``images`` and
            ``labels``, or ``(N, c, h, w)`` in memory; prepared as for training.
        threads: Threads of ONNX Runtime.
        progress: Called with each step before it starts.
        elsewhere: Runtimes whose outputs are judged; if empty, ONNX Runtime in this process. The
            layers are always walked in this process.

    Raises:
        UsageError: The model does not load, its metadata is damaged, ``data`` does not fit, model
            and network differ in their shapes or layers, or a runtime elsewhere is missing or does
            not take the model.
        CheckFailed: PyTorch itself gives NaN or infinite values, or the runtime stops.
    """
    opened = open_model(model, threads)
    return verify_opened(network, opened, data=data, progress=progress, elsewhere=elsewhere)


def verify_opened(
    network: nn.Module | Checkpoint,
    opened: OpenedModel,
    *,
    data: Path | str | NDArray[Any] | None = None,
    progress: Progress = lambda _: None,
    elsewhere: Sequence[Runtime] = (),
) -> Verification:
    """Do what ``verify`` does with a model that is open already."""
    progress("running PyTorch")
    pair = pair_up(network, opened, data)
    progress("judging the outputs")
    feeds = [Feed(one.images, one.batch_size) for one in pair.inputs]
    replays = run_each(elsewhere, opened.model_bytes, feeds, progress)
    judged = [pair.judge(replay) for replay in replays]
    agreements = by_set_and_runtime(elsewhere, judged) if judged else pair.judge_here()
    notes = tuple(note for note in (pair.checkpoint_note,) if note)
    golden = pair.golden()
    if not opened.records:
        return Verification(agreements, (), (NO_LAYERS_NOTE, *notes), (), replays, golden)
    progress("walking the layers")
    example = torch.zeros(opened.runtime.fixed_batch_size or 1, *opened.runtime.input_shape)
    frozen = freeze(pair.module, example)
    emitted = emitted_layers(frozen, example)
    expected = expected_layers(opened.model, opened.records, emitted)
    layers = walk(opened.model, expected, pair.inputs[0], opened.threads)
    found = Verification(agreements, layers, notes, (), replays, golden)
    if found.passed:
        return found
    progress("looking for the cause")
    causes = diagnose(pair, frozen, expected, layers=layers, agreements=agreements, replays=replays)
    return replace(found, diagnosis=causes)

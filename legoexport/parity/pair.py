"""ModelPair: a model and the network it came from, both run on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from legoexport.compile.stamp import read_stamp
from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint import Checkpoint
from legoexport.models.round_weights import round_weights
from legoexport.parity.agreement import Agreement
from legoexport.parity.golden import GoldenOutput, GoldenSet
from legoexport.parity.inputs import InputSet, as_pixels, given_inputs
from legoexport.parity.judge import reference_limit
from legoexport.parity.judge_outputs import input_sets, judge_outputs, judge_sets
from legoexport.parity.opened import OpenedModel
from legoexport.parity.pictures import read_inputs
from legoexport.parity.rankings import LAST, Ranking, rankings
from legoexport.parity.reference import Reference, ReferenceOutput, reference_of
from legoexport.runtimes.base import Replay


@dataclass(frozen=True)
class ModelPair:
    """A model beside its network, with what both were given.

    Attributes:
        module: The network in training form, its weights rounded to what the model holds of them.
        checkpoint_sha256: Digest of the file it came from, or None.
        opened: The ONNX model.
        inputs: Images, set by set.
        references: What PyTorch gives for each set.
        normalization: Of the pictures in training, where the checkpoint records it.
        class_names: Where the checkpoint has them.
    """

    module: nn.Module
    checkpoint_sha256: str | None
    opened: OpenedModel
    inputs: tuple[InputSet, ...]
    references: tuple[Reference, ...]
    normalization: Normalization | None = None
    class_names: tuple[str, ...] = ()

    @property
    def checkpoint_note(self) -> str | None:
        """Whether the model names another checkpoint than the one at hand."""
        recorded = read_stamp(self.opened.model).get("checkpoint_sha256", "")
        sha256 = self.checkpoint_sha256
        if sha256 is None or len(recorded) != len(sha256) or recorded == sha256:
            return None
        return (
            f"the model was converted from another checkpoint (sha256 {recorded[:12]}...,"
            f" this one is {sha256[:12]}...)"
        )

    @property
    def store_note(self) -> str | None:
        """Whether the model is held to rounded weights, not to those of the training."""
        store = self.opened.facts.store
        if store == "fp32":
            return None
        return f"the file stores {store}: PyTorch ran with the weights rounded to that"

    def judge_here(self) -> dict[str, Agreement]:
        """Run the model in this process; return the agreements by the names of the sets."""
        opened = self.opened
        return judge_sets(
            opened.runtime,
            self.inputs,
            self.references,
            growth=opened.growth,
            ranked=rankings(opened.model),
        )

    def judge(self, replay: Replay) -> dict[str, Agreement]:
        """Judge what another runtime computed; return the agreements by the names of the sets."""
        growth = self.opened.growth * replay.rounding_growth
        outputs = [(output,) for output in replay.outputs]
        return judge_outputs(self.inputs, self.references, outputs, growth=growth)

    def golden(self) -> tuple[GoldenSet, ...]:
        """Return what a bundle holds: the limits come from PyTorch and the lowerings alone."""
        return tuple(map(self._golden, self.inputs, self.references))

    def _golden(self, inputs: InputSet, reference: Reference) -> GoldenSet:
        names = self.opened.runtime.output_names
        ranked = {one.output: one for one in rankings(self.opened.model)}
        outputs = tuple(
            self._golden_output(name, one, ranked.get(name))
            for name, one in zip(names, reference.outputs, strict=True)
        )
        return GoldenSet(inputs.name, inputs.batch_size, inputs.arrays, outputs)

    def _golden_output(
        self, name: str, one: ReferenceOutput, ranking: Ranking | None
    ) -> GoldenOutput:
        if one.is_exact:
            scores, axis = (ranking.scores, ranking.axis) if ranking else (None, LAST)
            among = None if one.whole is None else one.whole.float64.astype(np.float32)
            return GoldenOutput(
                name, one.float64, one.float32, scores=scores, axis=axis, among=among
            )
        whole = one.whole or one
        error, limit = reference_limit(whole.float64, whole.float32, self.opened.growth)
        values = one.float64.astype(np.float32)
        return GoldenOutput(name, values, limit=limit, reference_max_abs_error=error)


def pair_up(
    network: nn.Module | Checkpoint,
    opened: OpenedModel,
    data: Path | str | NDArray[Any] | InputSet | None,
) -> ModelPair:
    """Choose the images and run PyTorch on them.

    Args:
        network: The network in training form, in any mode; it is left as it is.
        opened: The model.
        data: Real images, judged beside the random ones: a source as ``open_images`` takes it, or
            in memory ``(N, c, h, w)``, prepared as for training, or ``InputSet``. Pictures need a
            checkpoint that records how training normalised its own.

    Raises:
        UsageError: ``data`` does not fit or the model takes other than one image, or the network
            does not take inputs of the model's sizes.
    """
    recorded = network.normalization if isinstance(network, Checkpoint) else None
    real = None if data is None else _real(data, opened, recorded)
    inputs = input_sets(opened.runtime, real, opened.integer_ranges)
    if isinstance(network, Checkpoint):
        module, sha256 = network.module, network.sha256
    else:
        module, sha256 = network, None
    module = round_weights(module, opened.facts.store)
    reference = reference_of(module, opened.pixels, opened.facts.output, opened.facts.resize)
    return ModelPair(
        module=module,
        checkpoint_sha256=sha256,
        opened=opened,
        inputs=inputs,
        references=tuple(reference.run(*one.arrays) for one in inputs),
        normalization=recorded,
        class_names=network.class_names if isinstance(network, Checkpoint) else (),
    )


def _real(
    data: Path | str | NDArray[Any] | InputSet, opened: OpenedModel, recorded: Normalization | None
) -> InputSet:
    shape, batch_size = opened.runtime.image_shape, opened.runtime.fixed_batch_size
    if isinstance(data, InputSet):
        return data
    if isinstance(data, (Path, str)):
        return read_inputs(data, shape, batch_size, recorded, pixels=opened.pixels)
    return as_pixels(given_inputs(data, shape, batch_size), opened.pixels)

"""The network as training left it: what a file in fewer bits is measured against, all prepared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx
from numpy.typing import NDArray
from torch import nn

from legoexport.compile.example import Example
from legoexport.compile.pipeline import choose_plan, lower
from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.host.progress import Progress
from legoexport.parity.inputs import InputSet
from legoexport.parity.integer.ends import without_ends
from legoexport.passes.plan import Plan
from legoexport.quantize.cost import RoundingCost, layer_costs, rounding_cost
from legoexport.quantize.float_network import prepare_trained
from legoexport.quantize.revert import Held, revert_until
from legoexport.quantize.scores_cost import TrainedScores

# What the files are called that a file is printed beside.
THIS_FILE, FLOAT_FILE, TWIN = "this file", "file in fp32", "dense twin"


@dataclass(frozen=True)
class _Bare:
    """A file without its ends, and its plan."""

    model: onnx.ModelProto
    plan: Plan


@dataclass(frozen=True, eq=False)
class Trained:
    """A network before any rounding, and what it gives on images.

    Attributes:
        prepared: Its graph in float, up to its lowerings.
        scores: What it gives on each set of inputs.
        arrays: The last set, on which layers are measured; ``(N, ...)`` for each input.
    """

    prepared: Prepared
    scores: TrainedScores
    arrays: Sequence[NDArray[Any]]

    @classmethod
    def of(
        cls,
        module: nn.Module,
        example: Example,
        options: CompileOptions,
        sets: Sequence[InputSet],
        threads: int = 1,
    ) -> Trained:
        """Run a network.

        Args:
            module: The network as it was trained, in any mode; it is left as it is.
            example: What the file is compiled for.
            options: How the file is compiled.
            sets: Inputs to judge on, real images last.
            threads: Threads of ONNX Runtime.

        Raises:
            UsageError: The network cannot be expressed, or does not take such inputs.
        """
        prepared = prepare_trained(module, example, options)
        return cls(prepared, TrainedScores(module, sets, threads), sets[-1].arrays)

    def held_to(
        self, max_drop_points: float, prepared: Prepared, plan: Plan, progress: Progress
    ) -> Held:
        """Give layers back to float until the file loses no more than ``max_drop_points``.

        Args:
            max_drop_points: How much it may lose, in percentage points.
            prepared: The network in integers.
            plan: The plan to begin with.
            progress: Called with the name of each step before it starts.

        Raises:
            CheckFailed: It loses more even with all layers in float.
            UsageError: The network gives no scores of classes.
        """
        prepared = replace(prepared, options=prepared.options.without_ends)
        progress("telling what int8 costs each layer")
        rows = layer_costs(self.prepared, lower(prepared, plan), self.arrays)
        measure = self.scores.drop_points
        return revert_until(prepared, plan, rows, measure, max_drop_points, progress=progress)

    def cost(self, plan: Plan, model_bytes: bytes, others: Mapping[str, bytes]) -> RoundingCost:
        """Return what a file costs, beside the one in fp32 and others.

        Args:
            plan: What computes each layer of the file.
            model_bytes: The file, as it is written.
            others: Files to compare it with, such as its dense twin, by what they are.
        """
        given = {THIS_FILE: model_bytes, **others}
        files = {name: without_ends(one) for name, one in given.items()}
        bare = _Bare(onnx.load_model_from_string(files[THIS_FILE]), plan)
        all_files = {FLOAT_FILE: self._in_float(), **files}
        return rounding_cost(self.prepared, bare, self.arrays, self.scores, all_files)

    def _in_float(self) -> bytes:
        """Return the file that is converted from it without any rounding."""
        plan = choose_plan(self.prepared)
        return bytes(lower(self.prepared, plan).model.SerializeToString(deterministic=True))

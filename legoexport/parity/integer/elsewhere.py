"""An int8 file on other runtimes: every layer from the integers that it got there.

Sums of integers do not depend on their order, so the rule is the one that holds in this process:
one integer is right, or two next to a tie of the rounding. Where a runtime has no kernels for the
integers of a file and computes on the floats that they stand for, its sums are rounded as well, and
one step more is right. The graph that is walked gives its integers as outputs; the file itself runs
beside it, and in integers both give the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from legoexport.host.progress import Progress
from legoexport.ort.session import expose
from legoexport.parity.inputs import InputSet
from legoexport.parity.integer.walk import walked_images
from legoexport.parity.integer.walk_file import FileWalk, Walked
from legoexport.parity.opened import OpenedModel
from legoexport.runtimes.base import Feed, Replay, Runtime
from legoexport.runtimes.each import run_each

FLOAT_SUMS = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul")
# The sums of a layer in float32 err by far less than half a step, so no integer moves by two.
STEPS_IN_FLOAT = 1


@dataclass(frozen=True)
class IntegersElsewhere:
    """How the integers of a file compare on one runtime.

    Attributes:
        name: The name given to ``--runtime``.
        runtime: The runtime in words, with its version.
        walked: Layer by layer.
        floats_count: Nodes that sum weights in float there; 0 where the runtime does not tell.
        outputs_differing_count: Outputs that differ between the file itself and the one that
            exposes its integers, on the images of the walk.
    """

    name: str
    runtime: str
    walked: Walked
    floats_count: int
    outputs_differing_count: int

    @property
    def allowed_steps(self) -> int:
        """How far from a right integer a layer may be, in steps of its output's scale."""
        return STEPS_IN_FLOAT if self.floats_count else 0

    @property
    def passed(self) -> bool:
        """Whether the integers are right, and those of the file that users run."""
        return not self.causes

    @property
    def causes(self) -> tuple[str, ...]:
        """What is wrong; empty if nothing is."""
        found = [f"on {self.name}, {cause}" for cause in self.walked.causes(self.allowed_steps)]
        if self.outputs_differing_count and not self.floats_count:
            found.append(
                f"on {self.name}, {self.outputs_differing_count} outputs differ from those of the"
                " same file with its integers exposed: what was walked is not what users run"
            )
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict and every layer as JSON values."""
        return {
            "runtime": self.runtime,
            "passed": self.passed,
            "allowed_steps": self.allowed_steps,
            "floats_count": self.floats_count,
            "outputs_differing_count": self.outputs_differing_count,
            "layers": [one.to_json() for one in self.walked.layers],
        }

    def __str__(self) -> str:
        layers = self.walked.layers
        good = sum(one.within(self.allowed_steps) for one in layers)
        values, ties, wrong = (
            sum(getattr(one, name) for one in layers)
            for name in ("values_count", "ties_count", "wrong_count")
        )
        floats = f"; {self.floats_count} nodes sum in float there" if self.floats_count else ""
        return (
            f"{self.name}: {good} of {len(layers)} layers give the right integers"
            f" ({self.allowed_steps} steps allowed); {wrong} of {values} integers differ, by at"
            f" most {max((one.largest_excess_steps for one in layers), default=0)} steps; {ties}"
            f" ties{floats}"
        )


def run_elsewhere(
    opened: OpenedModel,
    walk: FileWalk,
    inputs: Sequence[InputSet],
    runtimes: Sequence[Runtime],
    progress: Progress,
) -> tuple[tuple[Replay, ...], tuple[IntegersElsewhere, ...]]:
    """Run a file on other runtimes, and walk it there on the last set of inputs.

    Args:
        opened: The file.
        walk: What is checked of it.
        inputs: Sets of images.
        runtimes: Where to run it.
        progress: Called with each step before it starts.

    Returns:
        What each runtime gave for each set, and how its integers compare.

    Raises:
        UsageError: A runtime is not installed, or does not take the model.
        CheckFailed: It stops with an error, or its integers are not those of the network.
    """
    batch = walked_images(inputs[-1].images, opened.runtime.fixed_batch_size)
    walked = Feed(batch, len(batch))
    feeds = [*(Feed(one.images, one.batch_size) for one in inputs), walked]
    plain = run_each(runtimes, opened.model_bytes, feeds, progress)
    exposed = expose(opened.model, walk.names).SerializeToString()
    replays = run_each(runtimes, exposed, [walked], progress)
    name = opened.runtime.inputs[0].name
    found = tuple(
        IntegersElsewhere(
            name=runtime.name,
            runtime=replay.runtime,
            walked=walk.check({name: batch, **replay.values[0]}),
            floats_count=sum(node.op in FLOAT_SUMS for node in replay.placement),
            outputs_differing_count=int((one.outputs[-1] != replay.outputs[0]).sum()),
        )
        for runtime, one, replay in zip(runtimes, plain, replays, strict=True)
    )
    return tuple(one.without_last() for one in plain), found

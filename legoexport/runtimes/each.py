"""One model on several runtimes, each of which gets ready first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from legoexport.host.progress import Progress
from legoexport.runtimes.base import Feed, Replay, Runtime

Judged = TypeVar("Judged")


@runtime_checkable
class NeedsPreparation(Protocol):
    """A runtime that takes minutes to get ready, once for all models."""

    def prepare(self, tell: Progress) -> None:
        """Get ready, and say what is under way.

        Raises:
            UsageError: Something that it needs is missing.
        """


def run_each(
    runtimes: Sequence[Runtime], model_bytes: bytes, feeds: Sequence[Feed], tell: Progress
) -> tuple[Replay, ...]:
    """Run the model on every feed on each of the runtimes.

    Raises:
        UsageError: A runtime is not installed, or does not take the model.
        CheckFailed: It stops with an error, or ends without an answer.
    """
    for runtime in runtimes:
        if isinstance(runtime, NeedsPreparation):
            runtime.prepare(tell)
    replays = []
    for runtime in runtimes:
        tell(f"running {runtime.name}")
        replays.append(runtime.run(model_bytes, feeds))
    return tuple(replays)


def by_set_and_runtime(
    runtimes: Sequence[Runtime], judged: Sequence[Mapping[str, Judged]]
) -> dict[str, Judged]:
    """Join what was judged for each runtime by the names of the sets, and of the runtimes if many.

    Args:
        runtimes: At least one.
        judged: Verdicts for each of them, by the name of a set of images.
    """
    if len(runtimes) == 1:
        return dict(judged[0])
    return {
        f"{name}, {runtime.name}": one
        for runtime, sets in zip(runtimes, judged, strict=True)
        for name, one in sets.items()
    }


def replays_json(replays: Sequence[Replay]) -> dict[str, Any]:
    """Return where the outputs came from as JSON values: in a list only if there are many."""
    if len(replays) > 1:
        return {"replays": [one.to_json() for one in replays]}
    return replays[0].to_json() if replays else {}

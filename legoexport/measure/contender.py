"""A model while it is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from legoexport.host.progress import Progress
from legoexport.measure.engine import find_engine
from legoexport.measure.inputs import check_readable, fill_shapes
from legoexport.measure.options import BenchOptions
from legoexport.measure.profile import Profile, profile_of
from legoexport.measure.statistics import summarize
from legoexport.measure.timing import Memory, Timing
from legoexport.ort.client import Client, start_worker
from legoexport.ort.model_file import file_size_bytes
from legoexport.ort.nodes import NodeTime, place, read_nodes
from legoexport.ort.providers import check_placement
from legoexport.runtimes.base import Engine
from legoexport.signals import temporary_folder

WARM_UP_SHARE = 0.2
LONGEST_WARM_UP_S = 1.0
PLACEMENT_RUNS_COUNT = 1
PROFILE_RUNS_COUNT = (3, 100)


@dataclass(frozen=True)
class Contender:
    """A model that is loaded in a worker, fed and warmed up."""

    client: Client
    options: BenchOptions
    engine: Engine
    loaded: dict[str, Any]

    def timing(self, latencies_ms: Sequence[float], progress: Progress) -> Timing:
        """Complete what was measured by what else there is to know; nothing can be measured after.

        Raises:
            CheckFailed: Nothing of the model is placed on the provider.
        """
        path, latency = self.client.path, summarize(latencies_ms)
        memory = self.memory()  # before a profile adds to it
        progress(f"looking where {path.name} runs")
        wanted = self.options.profile
        runs_count = self._profiled_runs_count(latency.mean_ms) if wanted else PLACEMENT_RUNS_COUNT
        with self._taken_apart(runs_count) as (nodes, to_profile):
            placement = place(nodes)
            profile = to_profile() if wanted else None
        check_placement(path, self.engine.placed_as, placement)
        return Timing(
            model=str(path),
            threads=self.options.threads,
            provider=self.engine.placed_as,
            batch_size=self.options.batch_size,
            latency=latency,
            session_creation_ms=self.loaded["session_ms"],
            memory=memory,
            file_size_bytes=file_size_bytes(path),
            placement=placement,
            profile=profile,
            runtime=self.engine.runtime,
        )

    def memory(self) -> Memory:
        """Return what the process held and holds."""
        peak_bytes = self.client.ask("memory")["peak_bytes"]
        return Memory(self.loaded["before_bytes"], self.loaded["after_bytes"], peak_bytes)

    def profile(self) -> Profile:
        """Take runs apart for about the duration; nothing can be measured after."""
        (latency_ms, *_) = self.client.measure_ms(0)
        with self._taken_apart(self._profiled_runs_count(latency_ms)) as (_, to_profile):
            return to_profile()

    @contextmanager
    def _taken_apart(
        self, runs_count: int
    ) -> Iterator[tuple[Sequence[NodeTime], Callable[[], Profile]]]:
        """Give the nodes of a run, and what makes a profile of them: it reads two whole graphs."""
        with temporary_folder() as folder:
            files = self.client.ask("profile", folder=str(folder), runs_count=runs_count)
            nodes = read_nodes(Path(files["profile"]))
            yield nodes, partial(profile_of, nodes, self.client.path, files["graph"])

    def _profiled_runs_count(self, latency_ms: float) -> int:
        least, most = PROFILE_RUNS_COUNT
        return min(most, max(least, round(self.options.duration_s * 1e3 / latency_ms)))


def start(stack: ExitStack, path: Path, options: BenchOptions, progress: Progress) -> Contender:
    """Start a worker that ends with ``stack``, and prepare the model at ``path`` in it.

    Raises:
        UsageError: As for ``bench``.
        CheckFailed: The run fails.
    """
    check_readable(path)
    engine = find_engine(path, options)
    client = stack.enter_context(start_worker(path, engine.command))
    progress(f"loading {path.name}")
    loaded = client.load(threads=options.threads, provider=engine.provider)
    inputs = engine.inputs or loaded["inputs"]
    client.ask("feed", inputs=fill_shapes(path, inputs, options.batch_size))
    client.measure_ms(min(options.duration_s * WARM_UP_SHARE, LONGEST_WARM_UP_S))
    return Contender(client, options, engine, loaded)

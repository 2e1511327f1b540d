"""A race: models that take turns, one process each, none of them timed before it is right."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from benchmarks.records import Absent, Entry
from legoexport.errors import CheckFailed, LegoExportError
from legoexport.host.progress import Progress
from legoexport.ort.client import COMMAND, Client, start_worker

INPUT, PROVIDER = "input", "CPUExecutionProvider"
ROUNDS_COUNT = 3
WARM_UP_S = 0.2
# Single precision in another order of additions, and in Winograd form, over 50 layers; a wrong
# graph is wrong in the first digit.
LARGEST_ERROR_RATIO = 1e-3

Output = NDArray[np.float32]


@dataclass(frozen=True)
class Runner:
    """A model that takes part.

    Attributes:
        label: Who made and runs it.
        make: Gives the file that is loaded; it may have to be made first.
        command: Starts the worker.
        largest_error_ratio: How far its outputs may lie from the reference's, of their range.
    """

    label: str
    make: Callable[[], Path]
    command: Sequence[str] = COMMAND
    largest_error_ratio: float = LARGEST_ERROR_RATIO


@dataclass(frozen=True)
class Course:
    """How a race is run.

    Attributes:
        shape: Shape of the input, with the batch.
        threads: Intra-op threads.
        model_s: Seconds for each model.
        restarts_count: How often all processes start afresh.
    """

    shape: tuple[int, ...]
    threads: int
    model_s: float
    restarts_count: int


@dataclass
class _Started:
    """A runner under way."""

    runner: Runner
    path: Path
    loaded_bytes: int | None = None
    error_ratio: float = 0.0
    restarts_ms: list[tuple[float, ...]] = field(default_factory=list)

    def entry(self) -> Entry:
        size_bytes = self.path.stat().st_size
        rounds = tuple(self.restarts_ms)
        return Entry(self.runner.label, size_bytes, self.loaded_bytes, self.error_ratio, rounds)


def run_race(
    runners: Sequence[Runner], course: Course, tell: Progress
) -> tuple[tuple[Entry, ...], tuple[Absent, ...]]:
    """Measure ``runners`` in turns; the first is the reference that all are compared with.

    Another that cannot be made, loaded or run, or that computes something else, is left out and
    said to be.

    Raises:
        LegoExportError: The reference cannot be made or run.
    """
    absent: list[Absent] = []
    started = _make_all(runners, absent, tell)
    for restart in range(course.restarts_count):
        with ExitStack() as stack:
            tell(f"start {restart + 1} of {course.restarts_count}")
            clients = _load_all(stack, started, course, absent)
            started = [one for one in started if one.runner.label in clients]
            _measure(started, clients, course)
    return tuple(one.entry() for one in started), tuple(absent)


def _make_all(runners: Sequence[Runner], absent: list[Absent], tell: Progress) -> list[_Started]:
    started = []
    for runner in runners:
        tell(f"making {runner.label}")
        try:
            started.append(_Started(runner, runner.make()))
        except LegoExportError as error:
            _leave_out(runner, error, absent, is_reference=not started)
    return started


def _load_all(
    stack: ExitStack, started: Sequence[_Started], course: Course, absent: list[Absent]
) -> dict[str, Client]:
    # All at once: they import their runtimes side by side.
    clients = [stack.enter_context(start_worker(one.path, one.runner.command)) for one in started]
    loaded: dict[str, Client] = {}
    reference: Output | None = None
    for one, client in zip(started, clients, strict=True):
        try:
            output = _load(one, client, course)
            reference = output if reference is None else reference
            one.error_ratio = checked_error_ratio(
                one.runner.label, output, reference, one.runner.largest_error_ratio
            )
        except LegoExportError as error:
            _leave_out(one.runner, error, absent, is_reference=not loaded)
        else:
            loaded[one.runner.label] = client
    return loaded


def _load(one: _Started, client: Client, course: Course) -> Output:
    shape = list(course.shape)
    here = one.runner.command == COMMAND
    settings = {"provider": PROVIDER} if here else {"shape": shape}
    loaded = client.load(threads=course.threads, **settings)
    one.loaded_bytes = loaded["after_bytes"] - loaded["before_bytes"]
    client.ask("feed", inputs=[(INPUT, "float32", shape)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "output.npy")
        client.ask("save_output", path=str(path))
        output: Output = np.load(path)
    client.measure_ms(WARM_UP_S)
    return output


def checked_error_ratio(label: str, output: Output, reference: Output, limit: float) -> float:
    """Return the largest difference over the reference's largest output.

    Raises:
        CheckFailed: The outputs are not those of the same network.
    """
    problem = f"{label} computes something else"
    if output.shape != reference.shape:
        raise CheckFailed(problem, received=output.shape, legal=reference.shape)
    ratio = float(np.abs(output - reference).max() / np.abs(reference).max())
    if not ratio <= limit:  # NaN is no agreement
        raise CheckFailed(problem, received=f"off by {ratio:.1e} of the range", legal=limit)
    return ratio


def _measure(started: Sequence[_Started], clients: dict[str, Client], course: Course) -> None:
    slice_s = course.model_s / course.restarts_count / ROUNDS_COUNT
    rounds = [
        [median(clients[one.runner.label].measure_ms(slice_s)) for one in started]
        for _ in range(ROUNDS_COUNT)
    ]
    for one, taken_ms in zip(started, zip(*rounds, strict=True), strict=True):
        one.restarts_ms.append(tuple(taken_ms))


def _leave_out(
    runner: Runner, error: LegoExportError, absent: list[Absent], *, is_reference: bool
) -> None:
    if is_reference:
        raise error
    absent.append(Absent(runner.label, _one_line(error)))


def _one_line(error: LegoExportError) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines())

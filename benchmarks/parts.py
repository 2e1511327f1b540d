"""The parts of a full run; each can be run by itself and goes on where it was stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import precision as five
from benchmarks.files import BUILD, ROOT, Files, is_installed
from benchmarks.labels import DEFAULT, DENSE, GROUPED, NAIVE, OTHERS, TUNED
from benchmarks.networks import NETWORKS, Network
from benchmarks.points import all_points
from benchmarks.race import Course, Runner, run_race
from benchmarks.records import LayerTime, Profile, Race, Taken
from benchmarks.settings import Settings
from benchmarks.store import RESULTS, profiles, races
from legoexport.errors import CheckFailed
from legoexport.host.progress import Progress

PROFILE_S = 1.0


@dataclass(frozen=True)
class Session:
    """What all parts of one run share.

    Attributes:
        settings: How long to measure.
        taken: When, where and by which command.
        tell: Called with the step under way.
        networks: Names of the networks to measure.
        build: Where files are kept.
        results: Where records are kept.
    """

    settings: Settings
    taken: Taken
    tell: Progress
    networks: Sequence[str] = tuple(NETWORKS)
    build: Path = BUILD
    results: Path = RESULTS

    def files(self, network: Network) -> Files:
        """Return the files of a network, as the passes of this run make them."""
        return Files(network, self.settings, self.build / self.taken.source)

    def course(self, network: Network, threads: int, model_s: float, batch_size: int = 1) -> Course:
        """Return how to race models of a network."""
        shape = (batch_size, network.channels, network.size, network.size)
        return Course(shape, threads, model_s, self.settings.restarts_count)


def networks(session: Session) -> None:
    """Race the files of each network in ONNX Runtime."""
    for network in map(NETWORKS.__getitem__, session.networks):
        files = session.files(network)
        for threads in session.settings.threads:
            runners = [
                Runner(DENSE, files.dense),
                Runner(NAIVE, files.naive),
                Runner(DEFAULT, partial(files.default, threads)),
                Runner(TUNED, partial(files.tuned, threads)),
            ]
            course = session.course(network, threads, session.settings.model_s)
            _race(session, "networks", network.title, course, runners)


def peers(session: Session) -> None:
    """Race the tuned file beside other runtimes, on the dense file and on ours."""
    for network in map(NETWORKS.__getitem__, session.networks):
        files = session.files(network)
        for threads in session.settings.threads:
            runners = [
                Runner(DENSE, files.dense),
                Runner(TUNED, partial(files.tuned, threads)),
                *_elsewhere(files, threads),
            ]
            course = session.course(network, threads, session.settings.model_s)
            _race(session, "peers", network.title, course, runners)


def layers(session: Session) -> None:
    """Take a run of each network apart, dense and tuned."""
    store = profiles(session.results)
    for network in map(NETWORKS.__getitem__, session.networks):
        for label in (DENSE, TUNED):
            for threads in session.settings.threads:
                profile = Profile(network.title, label, threads, (), session.taken)
                if not store.holds(profile.key, session.taken):
                    session.tell(f"layers: {profile.key}")
                    files = session.files(network)
                    path = files.dense() if label == DENSE else files.tuned(threads)
                    store.add(replace(profile, times=_profiled(path, threads)))


def curves(session: Session) -> None:
    """Race one layer as its input, its batch, the threads and n/m grow."""
    for point in all_points(session.settings):
        files = session.files(point.network)
        runners = [
            Runner(DENSE, files.dense),
            Runner(GROUPED, partial(files.preferring, GROUPED)),
            Runner(DEFAULT, partial(files.default, point.threads)),
        ]
        course = session.course(
            point.network, point.threads, session.settings.point_s, point.batch_size
        )
        _race(session, "curves", point.name, course, runners)


def precision(session: Session) -> None:
    """Race each network dense and as a LegoNet, in fp32 and in int8."""
    for network in five.chosen(session.networks):
        for threads in session.settings.threads:
            runners = list(five.runners(network, threads, session.build / session.taken.source))
            course = session.course(network, threads, session.settings.model_s)
            _race(session, "precision", network.title, course, runners)


PARTS: dict[str, Callable[[Session], None]] = {
    "networks": networks,
    "peers": peers,
    "layers": layers,
    "curves": curves,
    "precision": precision,
}


def _elsewhere(files: Files, threads: int) -> Iterator[Runner]:
    for name, module in OTHERS.items():
        command = (sys.executable, "-m", "benchmarks.workers.serve", name.lower())
        for form in (DENSE, TUNED):
            model = files.dense if form == DENSE else partial(files.tuned, threads)
            yield Runner(f"{name}, {form}", _maker(files, name, module, model), command)


def _maker(files: Files, name: str, module: str, source: Callable[[], Path]) -> Callable[[], Path]:
    def make() -> Path:
        if not is_installed(module):
            raise CheckFailed(f"{name} is not installed", next_step="pip install '.[bench]'")
        model = source()
        return files.for_mnn(model) if name == "MNN" else model

    return make


def _race(
    session: Session, part: str, subject: str, course: Course, runners: Sequence[Runner]
) -> None:
    store = races(part, session.results)
    race = Race(subject, course.threads, course.shape[0], (), (), session.taken)
    if store.holds(race.key, session.taken):
        return
    session.tell(f"{part}: {race.key}")
    entries, absent = run_race(runners, course, session.tell)
    store.add(replace(race, entries=entries, absent=absent))
    for one in absent:
        session.tell(f"  not timed: {one.label}: {one.reason}")


def _profiled(path: Path, threads: int) -> tuple[LayerTime, ...]:
    """Return what ``legoexport bench --profile`` says.

    Raises:
        CheckFailed: It fails.
    """
    options = ["--profile", "--json", "--threads", str(threads), "--duration", str(PROFILE_S)]
    command = [sys.executable, "-m", "legoexport", "bench", str(path), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise CheckFailed(f"bench --profile of {path}", received=done.stderr.strip())
    shares = json.loads(done.stdout)["model"]["profile"]["by_layer"]
    return tuple(LayerTime(share["name"], share["part"], share["time_ms"]) for share in shares)

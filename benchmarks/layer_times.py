"""Time every lowering of single Lego layers, in float and in integers, and write all times as JSON.

    python -m benchmarks.layer_times --out times.json --jobs 12 --minutes 5 --bank 2:0.5

``--jobs`` layers are timed at once, each pinned to ``--threads`` cores of its own; of the hardware
threads that share a core, one is used. A round times each model in a process of its own, those of a
layer after each other in an order that changes from round to round. Rounds go on until the time is
up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import Queue, get_context
from pathlib import Path
from typing import Any

import onnxruntime

from benchmarks.layer_cases import LayerCase, cases, time_model, write_model
from legoexport.lego.scales import PRECISIONS, Precision

SIBLINGS = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
CPU_INFO = Path("/proc/cpuinfo")
MOST_ROUNDS_COUNT = 100

Row = dict[str, Any]


@dataclass(frozen=True)
class Course:
    """How to time.

    Attributes:
        folder: Where the models are.
        threads: Intra-op threads of ONNX Runtime.
        precisions: What the lowerings compute in.
        slice_s: Seconds for one model in one round.
        deadline: When no more model is begun, in seconds of ``time.time``.
    """

    folder: Path
    threads: int
    precisions: tuple[Precision, ...]
    slice_s: float
    deadline: float

    @property
    def has_time(self) -> bool:
        """Whether another model may begin."""
        return time.time() < self.deadline


def main() -> None:
    """Write the file, anew after every round."""
    arguments = _arguments()
    places = list(_places(arguments.jobs, arguments.threads))
    arguments.jobs = len(places)
    chosen = cases([_bank(text) for text in arguments.bank])
    chosen = chosen[len(chosen) - (arguments.layers or len(chosen)) :]
    with tempfile.TemporaryDirectory(prefix="layer-times-") as name:
        deadline = time.time() + 60 * arguments.minutes
        precisions = tuple(arguments.precision or PRECISIONS)
        course = Course(Path(name), arguments.threads, precisions, arguments.seconds, deadline)
        rows: list[Row] = []
        with _pool(places) as pool:
            for round_number in range(MOST_ROUNDS_COUNT):
                if not course.has_time:
                    break
                tasks = [pool.submit(_time_case, case, course, round_number) for case in chosen]
                rows += [row for found in _finished(tasks) for row in found]
                _write(arguments, rows)
                print(f"round {round_number + 1}: {len(rows)} times", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time every lowering of single Lego layers.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1, help="layers timed at once")
    parser.add_argument("--threads", type=int, default=1, help="of each, and cores of its own")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=0.2, help="for one model in one round")
    parser.add_argument("--bank", action="append", default=[], help="o:ratio, such as 2:0.5")
    parser.add_argument("--precision", action="append", choices=PRECISIONS, help="of lowerings")
    parser.add_argument("--layers", type=int, default=0, help="only so many, the smallest")
    found = parser.parse_args()
    found.bank = found.bank or ["2:0.5"]
    return found


def _bank(text: str) -> tuple[int, float]:
    fragments, _, ratio = text.partition(":")
    return int(fragments), float(ratio)


def _places(jobs: int, threads: int) -> Iterator[tuple[int, ...]]:
    """Yield for each job the processors of its own, for fewer jobs where there are fewer cores."""
    cores = {_read(Path(SIBLINGS.format(cpu))) or str(cpu): cpu for cpu in _usable()}
    first = sorted(cores.values())
    count = min(jobs, len(first) // threads)
    if count < 1:
        raise SystemExit(f"{threads} threads need more than {len(first)} cores")
    print(f"{count} jobs of {threads} threads on {len(first)} cores", flush=True)
    for job in range(count):
        yield tuple(first[job * threads : (job + 1) * threads])


def _usable() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _pool(places: Sequence[tuple[int, ...]]) -> ProcessPoolExecutor:
    context = get_context("spawn")
    queue = context.Queue()
    for place in places:
        queue.put(place)
    return ProcessPoolExecutor(len(places), context, _pin, (queue,))


def _pin(places: Queue[tuple[int, ...]]) -> None:
    """Keep this process, and those that it starts, on processors of its own."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.sched_setaffinity(0, places.get())


def _finished(tasks: Iterable[Future[list[Row]]]) -> Iterator[list[Row]]:
    for task in as_completed(tasks):
        yield task.result()


def _time_case(case: LayerCase, course: Course, round_number: int) -> list[Row]:
    """Time every lowering of a layer once."""
    models = list(_models(case, course.folder, course.precisions).items())
    random.Random(f"{case} {round_number}").shuffle(models)  # noqa: S311 - an order, no secret
    place = {"threads": course.threads, "processors": _usable()}
    rows = []
    for form, path in models:
        taken = _time_model(path, course) if course.has_time else None
        if taken is not None:
            rows.append({**asdict(case), "form": form, "round": round_number, **place, **taken})
    return rows


@cache
def _models(case: LayerCase, folder: Path, precisions: tuple[Precision, ...]) -> dict[str, Path]:
    """Write the models of a layer, unless another process did."""
    found = {}
    sizes = "_".join(map(str, asdict(case).values()))
    for form, site in case.forms(precisions).items():
        path = folder / f"{sizes}_{form}.onnx"
        if not path.exists():
            whole = path.with_suffix(f".{os.getpid()}")
            write_model(site, form, whole)
            whole.rename(path)
        found[form] = path
    return found


def _time_model(path: Path, course: Course) -> Row | None:
    """Return what a model takes, or None if this ONNX Runtime cannot run it."""
    try:
        return time_model(path, course.threads, course.slice_s)
    except subprocess.CalledProcessError as error:
        print(f"{path.name} does not run: {error.stderr[-300:]}", file=sys.stderr)
        return None


def _write(arguments: argparse.Namespace, rows: Sequence[Row]) -> None:
    info = _read(CPU_INFO).splitlines()
    fields = dict(line.replace("\t", "").split(":", 1) for line in info if ":" in line)
    machine = {
        "processor": fields.get("model name", platform.processor()).strip(),
        "flags": fields.get("flags", "").split(),
        "processors_count": os.cpu_count(),
        "jobs": arguments.jobs,
        "onnxruntime": str(onnxruntime.__version__),
        "python": platform.python_version(),
    }
    content = {"version": 1, "machine": machine, "times": rows}
    whole = arguments.out.with_suffix(".part")
    whole.write_text(json.dumps(content))
    whole.replace(arguments.out)


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(errors="replace").strip()
    return ""


if __name__ == "__main__":
    main()

"""Reads any number of crafted checkpoints and counts what must never happen."""

import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint import read_checkpoint
from runtime_tests.checkpoints.digits import DIGITS
from runtime_tests.hostile.mutate import Attack, craft
from runtime_tests.hostile.seeds import CONTAINERS, sound

MOST_SECONDS = 5.0
# Crafted files have a few megabytes, and what their pickles may build takes 67 MB as Python counts.
MOST_BYTES = 250 * 10**6
# What the interpreter tells its auditors; code that only Python runs shows by the sentinel.
RUNNING = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen")
LONGEST_MESSAGE = 5000


@dataclass
class Counts:
    """What became of the files.

    Attributes:
        read: Taken as networks.
        refused: With a `CheckpointError`.
        executed: That ran something.
        foreign: With any other exception.
        slow: That took more than `MOST_SECONDS` of processor time.
        large: That took more than `MOST_BYTES` of memory.
        long: Whose message had more than `LONGEST_MESSAGE` characters.
        faults: What each of the last five was, to make it again.
    """

    read: int = 0
    refused: int = 0
    executed: int = 0
    foreign: int = 0
    slow: int = 0
    large: int = 0
    long: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def are_clean(self) -> bool:
        """Whether nothing happened that must not."""
        return not self.faults

    def fault(self, kind: str, case: str) -> None:
        """Count one of the last five."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.faults.append(f"{kind}: {case}")


class Auditor:
    """Listens for whatever would run; Python has no way to take an auditor away."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.is_listening = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, _arguments: object) -> None:
        if self.is_listening and event in RUNNING:
            self.events[event] += 1


AUDITOR = Auditor()


def run(
    folder: Path, count: int, seed: int, tell: Callable[[int], None] = lambda _done: None
) -> Counts:
    """Craft files and read them.

    Args:
        folder: Where they and what they try to write lie.
        count: How many; the containers take turns.
        seed: Of the first; file number n is made from seed + n alone.
        tell: Called after each with how many are done.
    """
    counts = Counts()
    sentinel = folder / "sentinel"
    for container in CONTAINERS:
        sound(container)
    with _little_memory():
        for number in range(count):
            container = CONTAINERS[number % len(CONTAINERS)]
            content = craft(Random(seed + number), container, Attack(str(sentinel)))  # noqa: S311
            _read(
                folder / "crafted",
                content,
                counts,
                f"--count 1 --seed {seed + number}, {container}",
            )
            if sentinel.exists():
                counts.fault("executed", f"--seed {seed + number}, {container}")
                sentinel.unlink()
            tell(number + 1)
    return counts


def _read(path: Path, content: bytes, counts: Counts, case: str) -> None:
    path.write_bytes(content)
    AUDITOR.events.clear()
    AUDITOR.is_listening = True
    begun_s = time.process_time()
    try:
        read_checkpoint(path, arch="lego_digits", hyperparameters=DIGITS)
        counts.read += 1
    except CheckpointError as error:
        counts.refused += 1
        if len(str(error)) > LONGEST_MESSAGE:
            counts.fault("long", case)
    except MemoryError:
        counts.fault("large", case)
    except Exception:
        counts.fault("foreign", f"{case}\n{traceback.format_exc()}")
    AUDITOR.is_listening = False
    if time.process_time() - begun_s > MOST_SECONDS:
        counts.fault("slow", case)
    if AUDITOR.events:
        counts.fault("executed", f"{case}: {dict(AUDITOR.events)}")


@contextmanager
def _little_memory() -> Iterator[None]:
    """Let the process grow by no more than `MOST_BYTES`, where the system can hold it to that."""
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

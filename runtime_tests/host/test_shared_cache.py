"""Processes that share a cache: each entry is whole, made once, and free of what was killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from legoexport.errors import UsageError
from legoexport.host.cache import cached

PROCESSES_COUNT = 6
PATIENCE_S = 120
# Each entry is two files that say who wrote them, with time between them.
PROGRAM = """
import os, sys, time
from pathlib import Path
from legoexport.host.cache import cached
from legoexport.signals import end_cleanly

def make(folder):
    with open(sys.argv[1], "a") as calls:
        calls.write(f"{os.getpid()}\\n")
    (folder / "first").write_text(str(os.getpid()))
    time.sleep(float(sys.argv[2]))
    (folder / "second").write_text(str(os.getpid()))

def is_whole(folder):
    return (folder / "first").is_file() and (folder / "second").is_file()

end_cleanly()
entry = cached("entry", make, is_whole)
print((entry / "first").read_text(), (entry / "second").read_text())
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def start(home: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(home / "calls"), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_a_call(home: Path) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not (home / "calls").exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def entries(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "legoexport").iterdir())


@pytest.mark.parametrize("before", ["nothing", "an entry with holes"])
def test_of_many_that_miss_an_entry_one_makes_it(home: Path, before: str) -> None:
    if before != "nothing":
        (home / "legoexport" / "entry").mkdir(parents=True)
        (home / "legoexport" / "entry" / "first").write_text("old")
    running = [start(home, 0.3) for _ in range(PROCESSES_COUNT)]
    for one in running:
        out, err = one.communicate(timeout=PATIENCE_S)
        assert (one.returncode, err) == (0, "")
        assert len(set(out.split())) == 1, "both files are of one process"
    assert len((home / "calls").read_text().split()) == 1
    assert entries(home) == ["entry"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_another_goes_on_where_the_one_inside_is_ended(home: Path, number: int) -> None:
    first = start(home, PATIENCE_S)
    wait_for_a_call(home)
    others = [start(home, 0) for _ in range(3)]
    time.sleep(0.2)
    assert entries(home) != ["entry"]
    first.send_signal(number)
    assert first.wait(PATIENCE_S) in (-signal.SIGKILL, 128 + number)
    first.communicate()
    for one in others:
        assert (*one.communicate(timeout=PATIENCE_S), one.returncode)[1:] == ("", 0)
    assert len((home / "calls").read_text().split()) == 2
    assert entries(home) == ["entry"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_cache_that_takes_no_new_files(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    open_file = os.open

    def refuse(path: os.PathLike[str], flags: int, *rest: int) -> int:
        if flags & os.O_CREAT and Path(path).parent == home / "legoexport":
            raise OSError(number, os.strerror(number))
        return open_file(path, flags, *rest)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UsageError) as refused:
        cached("entry", lambda folder: (folder / "first").touch())
    lines = str(refused.value).splitlines()
    assert lines[0] == f"cannot write in {home / 'legoexport'}"
    assert lines[-1].strip() == "next: set XDG_CACHE_HOME to a writable folder"


def test_a_whole_entry_is_read_from_a_cache_that_cannot_be_written(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "legoexport" / "entry").mkdir(parents=True)

    def refuse(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "mkdir", refuse)
    assert cached("entry", lambda _: None) == home / "legoexport" / "entry"

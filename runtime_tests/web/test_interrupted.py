"""``web`` ended by Ctrl-C or SIGTERM: no half page, no half cache, no npm, the signal's code."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from legoexport.signals import WORDS, exit_code
from legoexport.web.packages import RUNTIME_FILES, runtime_version

pytestmark = pytest.mark.heavy
PATIENCE_S = 120
SIGNALS = pytest.mark.parametrize("number", list(WORDS))
NPM = '#!/bin/sh\necho $$ > "$NPM_PID"\nsleep 600\n'
PADDING_BYTES = 10_000_000


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """An npm that never ends, an empty cache, and a folder for temporaries."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").write_text(NPM)
    (tmp_path / "bin" / "npm").chmod(0o755)
    (tmp_path / "tmp").mkdir()
    return {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "NPM_PID": str(tmp_path / "npm.pid"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path / "tmp"),
    }


@pytest.fixture
def installed(tmp_path: Path) -> None:
    """Stand-ins for onnxruntime-web in the cache, large enough to be interrupted at."""
    folder = tmp_path / "cache" / "legoexport" / f"onnxruntime-web-{runtime_version()}-compressed"
    folder.mkdir(parents=True)
    padding = bytes(PADDING_BYTES)
    packed = gzip.compress(padding)
    for name in RUNTIME_FILES:
        (folder / name).write_bytes(packed if name.endswith(".gz") else padding)


def start(surroundings: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "legoexport", "web", *map(str, arguments)],
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def build(surroundings: dict[str, str], model: Path, site: Path) -> None:
    process = start(surroundings, model, "--out", site)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def end(process: subprocess.Popen[str], number: int) -> None:
    """Send the signal, and hold that it alone is told."""
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE_S)
    word = WORDS[signal.Signals(number)]
    assert (process.returncode, said) == (exit_code(number), f"{word}\n")


def contents(folder: Path) -> dict[Path, tuple[int, int]]:
    """When each file was written, and which it is."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*")}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def wait_for(path: Path) -> str:
    deadline_s = time.monotonic() + PATIENCE_S
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    return path.read_text()


@SIGNALS
def test_while_npm_installs(
    tmp_path: Path, model: Path, surroundings: dict[str, str], number: int
) -> None:
    process = start(surroundings, model, "--out", tmp_path / "site")
    npm = int(wait_for(tmp_path / "npm.pid"))
    end(process, number)
    assert not (tmp_path / "site").exists()
    assert list((tmp_path / "cache" / "legoexport").iterdir()) == []
    assert list((tmp_path / "tmp").glob("legoexport-*")) == []
    assert not psutil.pid_exists(npm) or psutil.Process(npm).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def site(tmp_path: Path, model: Path, surroundings: dict[str, str], installed: None) -> Path:
    folder = tmp_path / "site"
    build(surroundings, model, folder)
    return folder


@SIGNALS
def test_while_the_page_is_written_over_an_older_one(
    tmp_path: Path, model: Path, site: Path, surroundings: dict[str, str], number: int
) -> None:
    before = contents(site)
    process = start(surroundings, model, "--out", site, "--mean", "0.5", "--std", "0.5")
    while process.poll() is None and not hidden(tmp_path):
        time.sleep(0.001)
    end(process, number)
    assert contents(site) == before
    assert hidden(tmp_path) == []


@SIGNALS
def test_while_it_serves_a_client(site: Path, surroundings: dict[str, str], number: int) -> None:
    before = contents(site)
    process = start(surroundings, "--serve", site, "--port", "0")
    assert process.stdout is not None
    port = int(process.stdout.readline().split("127.0.0.1:")[1].split("/")[0])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.sendall(b"GET /ort/ort.wasm.min.mjs HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.recv(1000)
        end(process, number)
    assert contents(site) == before


def test_a_cache_that_cannot_be_made(
    tmp_path: Path, model: Path, surroundings: dict[str, str]
) -> None:
    (tmp_path / "cache").write_text("no folder")
    process = start(surroundings, model, "--out", tmp_path / "site")
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    # ONNX Runtime says before that it cannot keep an identifier of this machine there.
    assert f"error: cannot make the folder {tmp_path / 'cache' / 'legoexport'}\n" in said
    assert "Traceback" not in said
    assert said.splitlines()[-1] == "  next: set XDG_CACHE_HOME to a writable folder"
    assert not (tmp_path / "site").exists()

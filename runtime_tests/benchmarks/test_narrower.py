"""Wide registers are hidden from the processes that are measured, or it is said why not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.narrower import LEVELS, environment_up_to, narrow
from legoexport.errors import UsageError

CPU_INFO = Path("/proc/cpuinfo")
CPU_FLAGS = {"avx2": "avx512f", "avx": "avx2", "sse": "avx"}
CRASHES = {"read": "ctypes.string_at(0)", "jump": "ctypes.CFUNCTYPE(None)(8)()"}
SEGMENTATION_FAULT = -11


def _can_be_hidden(level: str) -> bool:
    text = CPU_INFO.read_text() if CPU_INFO.exists() else ""
    flags = text.partition("flags")[2].partition("\n")[0].split()
    return {CPU_FLAGS[level], "cpuid_fault"} <= {*flags}


@pytest.mark.parametrize("level", LEVELS)
def test_hidden_or_said_why_not(level: str, tmp_path: Path) -> None:
    if not _can_be_hidden(level):
        with pytest.raises(UsageError, match=f"--up-to {level}"):
            environment_up_to(level, tmp_path)
        return
    environment = environment_up_to(level, tmp_path)
    # Threads and children of a process that is narrowed are, too.
    code = (
        "import subprocess, sys, threading;"
        f"question = {narrow.QUESTION!r};"
        "thread = threading.Thread(target=exec, args=(question, {}));"
        "thread.start(); thread.join();"
        "sys.stdout.flush(); subprocess.run([sys.executable, '-c', question], check=True)"
    )
    done = _run(code, environment)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert f"'{narrow.WIDER[level]}': False" in line
        assert f"'{narrow.LEVELS[level]}': True" in line
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("crash", CRASHES)
def test_other_faults_still_end_a_process(crash: str, tmp_path: Path) -> None:
    narrowed = environment_up_to("sse", tmp_path) if _can_be_hidden("sse") else {}
    done = _run(f"import ctypes; {CRASHES[crash]}", narrowed)
    assert done.returncode == SEGMENTATION_FAULT


def test_no_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrow, "_has", lambda _feature, _environment: True)
    monkeypatch.setenv("CC", str(tmp_path / "no-such-compiler"))
    with pytest.raises(UsageError, match="C compiler"):
        environment_up_to("avx2", tmp_path)


def test_what_does_not_hide_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrow, "_has", lambda _feature, _environment: True)
    monkeypatch.setattr(narrow, "_compiled", lambda build: build / "narrow.so")
    with pytest.raises(UsageError, match="cannot be hidden"):
        environment_up_to("avx2", tmp_path)


def _run(code: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

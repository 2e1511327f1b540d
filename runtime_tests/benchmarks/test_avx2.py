"""AVX-512 is hidden from the processes that are measured, or it is said why it cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.avx2 import environment_without_avx512, hide
from legoexport.errors import UsageError

CPU_INFO = Path("/proc/cpuinfo")


def _flags() -> set[str]:
    text = CPU_INFO.read_text() if CPU_INFO.exists() else ""
    return set(text.partition("flags")[2].partition("\n")[0].split())


def test_hidden_or_said_why_not(tmp_path: Path) -> None:
    can_be_hidden = {"avx512f", "cpuid_fault"} <= _flags()
    if not can_be_hidden:
        with pytest.raises(UsageError, match="--hide-avx512"):
            environment_without_avx512(tmp_path)
        return
    environment = environment_without_avx512(tmp_path)
    # Threads and children inherit it, exceptions of other kinds still work.
    code = (
        "import subprocess, sys, threading, numpy as np;"
        f"question = {hide.QUESTION!r};"
        "thread = threading.Thread(target=exec, args=(question,)); thread.start(); thread.join();"
        "subprocess.run([sys.executable, '-c', question], check=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == [hide.AVX2_ONLY] * 2


def test_other_faults_still_end_a_process(tmp_path: Path) -> None:
    if not {"avx512f", "cpuid_fault"} <= _flags():
        return
    environment = environment_without_avx512(tmp_path)
    for crash in ("ctypes.string_at(0)", "ctypes.CFUNCTYPE(None)(8)()"):  # a read, a jump
        done = subprocess.run(
            [sys.executable, "-c", f"import ctypes; {crash}"],
            env={**os.environ, **environment},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == -11


def test_no_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hide, "_seen", lambda _environment: hide.BOTH)
    monkeypatch.setenv("CC", str(tmp_path / "no-such-compiler"))
    with pytest.raises(UsageError, match="C compiler"):
        environment_without_avx512(tmp_path)


def test_what_does_not_help_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hide, "_seen", lambda _environment: hide.BOTH)
    monkeypatch.setattr(hide, "_compiled", lambda build: build / "hide_avx512.so")
    with pytest.raises(UsageError, match="all the same"):
        environment_without_avx512(tmp_path)

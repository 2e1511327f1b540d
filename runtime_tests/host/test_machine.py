"""The machine is described wherever the system tells only part of it."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from legoexport.host import machine
from legoexport.host.machine import describe, usable_processors

NOWHERE = Path("/nowhere")


@pytest.fixture
def without_linux_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CPU_INFO", NOWHERE)
    monkeypatch.setattr(machine, "BOARD", NOWHERE)
    monkeypatch.setattr(machine, "TOPOLOGY", "/nowhere/{}")


def test_processors_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda _: [5, 2], raising=False)
    assert usable_processors() == (2, 5)


@pytest.mark.parametrize(("counted", "usable"), [(3, (0, 1, 2)), (None, (0,))])
def test_all_processors_where_the_system_knows_no_affinity(
    monkeypatch: pytest.MonkeyPatch, counted: int | None, usable: tuple[int, ...]
) -> None:
    monkeypatch.delattr(psutil.Process, "cpu_affinity", raising=False)  # as on macOS
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert usable_processors() == usable


@pytest.mark.usefixtures("without_linux_files")
def test_no_file_of_linux_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil.Process, "cpu_affinity", raising=False)
    found = describe()
    assert found.cpu_model
    assert found.logical_cores == os.cpu_count()
    assert found.physical_cores == psutil.cpu_count(logical=False)
    assert 1 <= found.default_threads <= found.logical_cores
    assert found.memory_bytes > 0


@pytest.mark.usefixtures("without_linux_files")
def test_cores_of_the_whole_machine_are_not_those_of_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda _: [0], raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8 if logical else 4)
    assert describe().physical_cores is None
    assert describe().default_threads == 1

"""What a processor has for int8, told from descriptions of processors that are not here."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from legoexport.commands import processor_check
from legoexport.errors import CheckFailed
from legoexport.host import processor
from legoexport.host.processor import Processor, this_processor
from legoexport.lego.file_facts import FileFacts

NO_VNNI = Processor("x86_64", ())
VNNI_FILE = FileFacts({"target": "cpu-vnni", "precision": "int8"})


TWO = ("AVX512-VNNI", "AVX-VNNI")


@pytest.mark.parametrize(
    ("architecture", "lines", "expected"),
    [
        ("x86_64", ["flags\t: fpu avx2 avx512_vnni avx_vnni"], (TWO, "cpu-vnni")),
        ("x86_64", ["flags\t: fpu avx2"], ((), "cpu")),
        ("AMD64", ["flags : avx_vnni", "flags : avx2"], ((), "cpu")),
        ("aarch64", ["Features\t: fp asimddp i8mm"], (("dot product", "i8mm"), "arm64")),
        ("aarch64", ["Features\t: fp asimd"], ((), "arm64")),
        ("riscv64", ["isa : rv64"], (None, None)),
        ("x86_64", ["model name : flags avx_vnni"], (None, "cpu")),
    ],
)
def test_what_the_system_tells(
    architecture: str,
    lines: list[str],
    expected: tuple[tuple[str, ...] | None, str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cpuinfo").write_text("\n".join(["processor : 0", *lines]))
    monkeypatch.setattr(processor, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "machine", lambda: architecture)
    monkeypatch.setattr(sys, "platform", "linux")
    found = this_processor()
    assert (found.extensions, found.target) == expected
    assert found.lacks_vnni == (found.is_x86 and found.extensions == ())


def test_no_description_is_not_taken_for_no_vnni(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "CPU_INFO", tmp_path / "nothing")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    assert not this_processor().lacks_vnni
    assert "does not tell" in str(this_processor())


@pytest.mark.parametrize("target", ["cpu", "arm64"])
def test_only_files_for_vnni_are_refused(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor_check, "this_processor", lambda: NO_VNNI)
    processor_check.check_sums_here(FileFacts({"target": target, "precision": "int8"}), ())
    processor_check.check_sums_here(FileFacts({"target": "cpu-vnni"}), ())
    with pytest.raises(CheckFailed, match=r"no VNNI.*\n.*itself is right"):
        processor_check.check_sums_here(VNNI_FILE, ())


def test_a_processor_with_vnni_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    has = Processor("x86_64", ("AVX-VNNI",))
    monkeypatch.setattr(processor_check, "this_processor", lambda: has)
    processor_check.check_sums_here(VNNI_FILE, ())

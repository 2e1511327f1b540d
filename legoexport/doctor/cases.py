"""Cases: known-bad combinations of runtime version, operator and CPU, as data with sources."""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from legoexport.errors import UsageError

Version = tuple[int, int, int]
Severity = Literal["wrong numbers", "fails", "slow", "note"]
# The worst first: in this order they are reported.
SEVERITIES: tuple[Severity, ...] = ("wrong numbers", "fails", "slow", "note")
SME, NO_VNNI = "sme", "no vnni"
ONNXRUNTIME = "onnxruntime"
# Of an engine that is not told: whatever comes after all that are known.
NEWEST: Version = (sys.maxsize, 0, 0)


@dataclass(frozen=True)
class Case:
    """Something that is known to go wrong.

    Attributes:
        id: A short name that stays.
        title: What goes wrong.
        severity: How bad it is; see ``cases.toml``.
        targets: Targets that it concerns; files of every target if there are none.
        trigger: Name of the function in ``triggers`` that finds it in a model.
        explanation: Why it happens.
        remedies: What to do instead, the best first.
        sources: Addresses, files of ONNX Runtime, or what was measured.
        first: The first version that has it; None means all before ``fixed``.
        fixed: The first version without it; None means that none is known.
        needs: ``sme`` if only CPUs with that extension have it, ``no vnni`` if only x86 without
            VNNI.
        engine: What runs the file; versions are of this engine.
    """

    id: str
    title: str
    severity: Severity
    trigger: str
    explanation: str
    remedies: tuple[str, ...]
    sources: tuple[str, ...]
    targets: tuple[str, ...] = ()
    first: Version | None = None
    fixed: Version | None = None
    needs: str | None = None
    engine: str = ONNXRUNTIME

    def concerns(self, target: str, version: Version, engine: str = ONNXRUNTIME) -> bool:
        """Return whether an engine of this version has it with a file for this target."""
        since = self.first is None or version >= self.first
        until = self.fixed is None or version < self.fixed
        is_meant = engine == self.engine and (not self.targets or target in self.targets)
        return is_meant and since and until


@dataclass(frozen=True)
class Release:
    """What one release of ONNX Runtime, and those after it up to the next one, load.

    Attributes:
        version: The first release of which it is true.
        opset: Highest opset of the default domain.
        ir_version: Highest version of the file format.
    """

    version: Version
    opset: int
    ir_version: int


def parse_version(text: str) -> Version:
    """Read a version, such as ``1.24`` or ``1.24.1``; anything after a third number is dropped.

    Raises:
        UsageError: ``text`` is not a version.
    """
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if found is None:
        raise UsageError("no version of an engine", received=text, legal="such as 1.24.1")
    major, minor, patch = (int(number or 0) for number in found.groups())
    return major, minor, patch


def format_version(version: Version) -> str:
    """Return the version as text, such as ``1.24.1``."""
    if version == NEWEST:
        return "newest"
    return ".".join(map(str, version))


@cache
def known_cases() -> tuple[Case, ...]:
    """Return every case, the worst first."""
    cases = [_case(fields) for fields in _read("cases.toml")["case"]]
    return tuple(sorted(cases, key=lambda case: SEVERITIES.index(case.severity)))


@cache
def known_engines() -> tuple[str, ...]:
    """Return the engines that cases are known of, ONNX Runtime first."""
    others = {case.engine for case in known_cases()} - {ONNXRUNTIME}
    return (ONNXRUNTIME, *sorted(others))


@cache
def known_releases() -> tuple[Release, ...]:
    """Return the releases at which something changed, oldest first."""
    releases = [
        Release(parse_version(fields["version"]), fields["opset"], fields["ir_version"])
        for fields in _read("releases.toml")["release"]
    ]
    return tuple(sorted(releases, key=lambda release: release.version))


def release_of(version: Version) -> Release | None:
    """Return what ``version`` loads, or None if it is older than every release in the table."""
    older = [release for release in known_releases() if release.version <= version]
    return older[-1] if older else None


def _case(fields: dict[str, Any]) -> Case:
    lists = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
    versions = {name: parse_version(fields[name]) for name in ("first", "fixed") if name in fields}
    return Case(**(fields | lists | versions))


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("legoexport.doctor") / name).read_text())

"""ONNX Runtime and numpy for arm64, of any version, as their makers built them."""

from __future__ import annotations

import re
import sys
import zipfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.host.cache import cached, run_tool

GLIBC_TAGS = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_27", "manylinux2014")
FOREIGN = tuple(word for tag in GLIBC_TAGS for word in ("--platform", f"{tag}_aarch64"))
FIRST_WITH_NUMPY_2 = (1, 19)
LAST_NUMPY_1 = "1.26.4"


def default_version() -> str:
    """The ONNX Runtime that is installed here."""
    return metadata.version("onnxruntime")


def wheels(version: str, python: str | None) -> Path:
    """Return a folder to put on ``PYTHONPATH``; download about 40 MB if it is not there.

    Args:
        version: Version of ONNX Runtime, such as ``1.24.1``.
        python: Version of the arm64 interpreter, such as ``3.11``; None for the one that runs this,
            on an arm64 machine.

    Raises:
        UsageError: There is no such version for it, or pip does not reach its index.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        problem = "--runtime-version names a release of ONNX Runtime"
        raise UsageError(problem, received=version, legal="such as 1.24.1")
    made_for = f"python{python or f'{sys.version_info.major}.{sys.version_info.minor}-here'}"
    name = f"arm64-onnxruntime-{version}-numpy-{_numpy_version(version)}-{made_for}"
    return cached(name, lambda folder: _make(folder, version, python))


def _make(folder: Path, version: str, python: str | None) -> None:
    target = () if python is None else (*FOREIGN, "--python-version", python)
    packages = (f"onnxruntime=={version}", f"numpy=={_numpy_version(version)}")
    options = ("--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder))
    command = (sys.executable, "-m", "pip", "download", *options, *target, *packages)
    problem = f"pip finds no ONNX Runtime {version} for arm64 and Python {python or 'here'}"
    run_tool(command, problem, "name a version that has such a wheel with --runtime-version")
    _unpack(folder, list(folder.glob("*.whl")))


def _numpy_version(version: str) -> str:
    major, minor, _ = map(int, version.split("."))
    if (major, minor) < FIRST_WITH_NUMPY_2:
        return LAST_NUMPY_1
    return metadata.version("numpy")


def _unpack(folder: Path, files: Sequence[Path]) -> None:
    for file in files:
        with zipfile.ZipFile(file) as wheel:
            wheel.extractall(folder)
        file.unlink()

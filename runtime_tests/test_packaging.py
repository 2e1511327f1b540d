"""The wheel holds every module once, under legoexport and nowhere else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "legoexport", "passes", "models")


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a wheel built from a copy of the sources, links and all."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(source, folder / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", "out", "."]
    subprocess.run(command, cwd=folder, check=True)
    (wheel,) = (folder / "out").glob("legoexport-*.whl")
    return zipfile.ZipFile(wheel).namelist()


def module_names(folder: str, package: str) -> set[str]:
    paths = (path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob("*.py"))
    return {f"{package}/{path}" for path in paths}


def test_every_package_is_named_in_pyproject() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    rooms = {
        "legoexport": "legoexport",
        "passes": "legoexport.passes",
        "models": "legoexport.models",
    }
    wanted = {
        ".".join([package, *path.parent.relative_to(ROOT / folder).parts])
        for folder, package in rooms.items()
        for path in (ROOT / folder).rglob("__init__.py")
        if not path.is_relative_to(ROOT / "legoexport" / "passes")
        if not path.is_relative_to(ROOT / "legoexport" / "models")
    }
    named = {name for name in settings["packages"] if name not in settings["package-data"]}
    assert wanted - named <= {*settings["package-data"]}
    assert named <= wanted


@pytest.mark.heavy
def test_the_wheel_holds_every_module_once(wheel_names: list[str]) -> None:
    expected = module_names("passes", "legoexport/passes")
    expected |= module_names("models", "legoexport/models")
    own = module_names("legoexport", "legoexport")
    expected |= {n for n in own if not n.startswith(("legoexport/passes/", "legoexport/models/"))}
    packed = Counter(name for name in wheel_names if name.endswith(".py"))
    assert set(packed) == expected
    assert set(packed.values()) == {1}


@pytest.mark.heavy
def test_the_wheel_adds_one_top_level_name(wheel_names: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"legoexport"}
    assert "legoexport/py.typed" in wheel_names

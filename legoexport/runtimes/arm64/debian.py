"""A small Debian for arm64 with Python: enough to run ONNX Runtime in, nothing to boot.

apt-get works on a state and a cache of its own, for another architecture: what is installed on this
machine stays as it is, and no privileges are needed.
"""

from __future__ import annotations

import contextlib
import platform
import re
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.host.cache import cached, run_tool
from legoexport.signals import temporary_folder

ARCHITECTURE = "arm64"
# The interpreter, the standard library that goes with it, and what compiled wheels link to.
PACKAGES = ("python3-minimal", "libpython3-stdlib", "libstdc++6")
PROBLEM = "the arm64 Debian that ONNX Runtime is to run in cannot be made"
NEXT_STEP = "use Debian 12 or later, with apt sources that have packages for arm64"
Python = tuple[Path, str]


def arm64_root() -> Path:
    """Return the root folder; download and unpack about 16 MB of packages if it is not there.

    Raises:
        UsageError: This machine has no apt-get, or its sources have no packages for arm64.
    """
    return cached(f"arm64-{_release()}", _make)


def python_of(root: Path) -> Python:
    """Return the interpreter in ``root``, and its version such as ``3.11``.

    Raises:
        UsageError: There is no interpreter.
    """
    found = [path for path in root.glob("usr/bin/python3.*") if path.suffix[1:].isdigit()]
    if not found:
        raise UsageError(PROBLEM, received=f"no Python in {root}", next_step=NEXT_STEP)
    return found[0], found[0].name.removeprefix("python")


def _release() -> str:
    try:
        about = platform.freedesktop_os_release()
    except OSError:
        about = {}
    codename = about.get("VERSION_CODENAME", "")
    if not re.fullmatch(r"[a-z]+", codename):
        raise UsageError(PROBLEM, received="a system without apt-get", next_step=NEXT_STEP)
    return codename


def _make(root: Path) -> None:
    with temporary_folder() as folder:
        for package in _download(folder):
            run_tool(["dpkg-deb", "-x", str(package), str(root)], PROBLEM, NEXT_STEP)
    if not (root / "lib").exists():  # packages since Debian 13 hold usr/lib alone
        (root / "lib").symlink_to("usr/lib")
    python_of(root)


def _download(folder: Path) -> list[Path]:
    settings = _settings(folder)
    # One source of several may be out of reach, or have nothing for arm64; the rest may do.
    with contextlib.suppress(UsageError):
        run_tool(["apt-get", *settings, "update"], PROBLEM, NEXT_STEP)
    wanted = ["--no-install-recommends", "--download-only", "-y", "install", *PACKAGES]
    run_tool(["apt-get", *settings, *wanted], PROBLEM, NEXT_STEP)
    return sorted((folder / "cache" / "archives").glob("*.deb"))


def _settings(folder: Path) -> list[str]:
    state, cache = folder / "state", folder / "cache"
    (state / "lists" / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    (state / "status").touch()  # nothing is installed there yet
    options = {
        "APT::Architecture": ARCHITECTURE,
        "APT::Architectures": ARCHITECTURE,
        "APT::Sandbox::User": "root",  # the sandbox's user could not write to our folder
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": cache,
        "Dir::Cache::archives": cache / "archives",
    }
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]

"""onnxruntime-web from npm: installed once into the user's cache, one exact version.

``npm/package-lock.json`` names the version and the digest of every package, and ``npm ci`` takes
nothing else. Of what it installs only the files that a page loads are kept.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from legoexport.errors import UsageError

LOCKED = Path(__file__).with_name("npm")
LOCK_FILES = ("package.json", "package-lock.json")
PACKAGE = "onnxruntime-web"
# The WebAssembly build, and the build that has the WebGPU provider: a loader for each, and the
# module that it loads.
WASM_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
WEBGPU_FILES = (
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
RUNTIME_FILES = WASM_FILES + WEBGPU_FILES
# Install scripts are not needed, so none runs.
INSTALL = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund")
INSTALL_TIMEOUT_S = 600
LAST_LINES = 8
HOW_TO_INSTALL = "install Node.js 18 or later with npm (Debian: apt-get install nodejs npm)"


def runtime_version() -> str:
    """Return the version of onnxruntime-web that pages are built with."""
    package = json.loads((LOCKED / "package.json").read_text())
    return str(package["dependencies"][PACKAGE])


def runtime_folder() -> Path:
    """Return the folder that holds ``RUNTIME_FILES``, filled from npm if it is not there yet.

    Raises:
        UsageError: npm is missing, or did not install the package.
    """
    folder = _cache() / f"{PACKAGE}-{runtime_version()}"
    if _is_complete(folder):
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(
            f"{PACKAGE} comes from npm, and npm is not installed", next_step=HOW_TO_INSTALL
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".npm.") as workplace:
            _install(npm, Path(workplace))
            _keep(Path(workplace), folder)
    except OSError as error:
        raise UsageError(
            f"cannot fill the cache {folder}",
            received=error.strerror,
            next_step="name another cache in XDG_CACHE_HOME",
        ) from None
    return folder


def _cache() -> Path:
    """The folder of the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "legoexport"


def _install(npm: str, workplace: Path) -> None:
    for name in LOCK_FILES:
        shutil.copy(LOCKED / name, workplace)
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [npm, *INSTALL],
            cwd=workplace,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"npm ci gave no answer for {INSTALL_TIMEOUT_S} s") from None
    if done.returncode:
        said = "\n".join(done.stdout.strip().splitlines()[-LAST_LINES:])
        raise UsageError(
            f"npm ci does not install {PACKAGE} {runtime_version()}",
            received=said or f"exit {done.returncode}",
            next_step=f"check that npm reaches its registry, or {HOW_TO_INSTALL}",
        )


def _keep(workplace: Path, folder: Path) -> None:
    """Move the files of a page to ``folder``, in one step."""
    kept = workplace / "kept"
    kept.mkdir()
    for name in RUNTIME_FILES:
        (workplace / "node_modules" / PACKAGE / "dist" / name).replace(kept / name)
    kept.chmod(0o755)
    if folder.is_dir() and not _is_complete(folder):
        shutil.rmtree(folder)
    try:
        kept.replace(folder)
    except OSError:
        if not _is_complete(folder):  # otherwise another process has just installed the same
            raise


def _is_complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in RUNTIME_FILES)

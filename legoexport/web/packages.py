"""onnxruntime-web from npm: installed once into the user's cache, one exact version.

``npm/package-lock.json`` names the version and the digest of every package, and ``npm ci`` takes
nothing else. Of what it installs only the files that a page loads are kept.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from legoexport.host.cache import cached
from legoexport.host.npm import install_locked
from legoexport.signals import temporary_folder

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


def runtime_version() -> str:
    """Return the version of onnxruntime-web that pages are built with."""
    package = json.loads((LOCKED / "package.json").read_text())
    return str(package["dependencies"][PACKAGE])


def runtime_folder() -> Path:
    """Return the folder that holds ``RUNTIME_FILES``, filled from npm if it is not there yet.

    Raises:
        UsageError: npm is missing, or did not install the package.
    """
    return cached(f"{PACKAGE}-{runtime_version()}", _fill, _is_whole)


def _fill(folder: Path) -> None:
    """Install what is locked, and keep the files of a page."""
    with temporary_folder() as workplace:
        locked = [LOCKED / file for file in LOCK_FILES]
        install_locked(locked, workplace, f"{PACKAGE} {runtime_version()}")
        for file in RUNTIME_FILES:
            shutil.copy(workplace / "node_modules" / PACKAGE / "dist" / file, folder)


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in RUNTIME_FILES)

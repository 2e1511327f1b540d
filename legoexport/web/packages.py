"""onnxruntime-web from npm: installed once into the user's cache, one exact version.

``npm/package-lock.json`` names the version and the digest of every package, and ``npm ci`` takes
nothing else. Of what it installs only the files that a page loads are kept, compressed, for a phone
waits for nothing longer. Node.js does that: it comes with npm, and Python has no brotli of its own.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from legoexport.host.cache import cached, run_tool
from legoexport.host.npm import HOW_TO_INSTALL, install_locked
from legoexport.runtimes.web.node import find_node
from legoexport.signals import temporary_folder
from legoexport.web.encodings import SUFFIXES

LOCKED = Path(__file__).with_name("npm")
LOCK_FILES = ("package.json", "package-lock.json")
PACKER = LOCKED / "pack.mjs"
PACKAGE = "onnxruntime-web"
# The WebAssembly build, and the build that has the WebGPU provider: a loader for each, and the
# module that it loads.
WASM_BINARY = "ort-wasm-simd-threaded.wasm"
WASM_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", WASM_BINARY)
WEBGPU_BINARY = "ort-wasm-simd-threaded.asyncify.wasm"
WEBGPU_FILES = ("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", WEBGPU_BINARY)
# What a page loads.
LOADED_FILES = WASM_FILES + WEBGPU_FILES
# The binaries are there only compressed: as they are they would be two thirds of a page.
BINARIES = (WASM_BINARY, WEBGPU_BINARY)
RUNTIME_FILES = tuple(
    name + suffix
    for name in LOADED_FILES
    for suffix in (("",) if name not in BINARIES else ()) + tuple(SUFFIXES.values())
)


def runtime_version() -> str:
    """Return the version of onnxruntime-web that pages are built with."""
    package = json.loads((LOCKED / "package.json").read_text())
    return str(package["dependencies"][PACKAGE])


def runtime_folder() -> Path:
    """Return the folder that holds ``RUNTIME_FILES``, filled from npm if it is not there yet.

    Raises:
        UsageError: npm or Node.js is missing, or one of them fails.
    """
    return cached(f"{PACKAGE}-{runtime_version()}-compressed", _fill, _is_whole)


def _fill(folder: Path) -> None:
    """Install what is locked, and keep the files of a page."""
    with temporary_folder() as workplace:
        locked = [LOCKED / file for file in LOCK_FILES]
        install_locked(locked, workplace, f"{PACKAGE} {runtime_version()}")
        installed = workplace / "node_modules" / PACKAGE / "dist"
        _compress(installed, folder)
        for file in LOADED_FILES:
            if file not in BINARIES:
                shutil.copy(installed / file, folder)


def _compress(installed: Path, folder: Path) -> None:
    node = find_node(f"{PACKAGE} is compressed")
    command = [node, str(PACKER), str(installed), str(folder), *LOADED_FILES]
    run_tool(command, f"Node.js does not compress {PACKAGE}", HOW_TO_INSTALL)


def _is_whole(folder: Path) -> bool:
    return all((folder / name).is_file() for name in RUNTIME_FILES)

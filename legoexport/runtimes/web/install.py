"""Install onnxruntime-web once, into a cache folder, exactly as package-lock.json has it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from legoexport.host.cache import cached
from legoexport.host.npm import install_locked

VERSION = "1.16.3"
PACKAGE_FILES = tuple(Path(__file__).with_name(n) for n in ("package.json", "package-lock.json"))


def installed() -> Path:
    """Return the folder that holds ``node_modules``; install it first if it is not there.

    Another lock file makes another folder.

    Raises:
        UsageError: npm is missing or fails, or the cache cannot be written.
    """
    digest = hashlib.sha256(PACKAGE_FILES[1].read_bytes()).hexdigest()[:8]
    return cached(f"onnxruntime-web-{VERSION}-{digest}", _install)


def _install(folder: Path) -> None:
    install_locked(PACKAGE_FILES, folder, f"onnxruntime-web {VERSION}")

"""What lets a browser keep a site: the digest of each file, and a service worker for this version.

The description of a site has the digests of all other files, and the service worker that of the
description. So any change of a site is another service worker, which the browser installs.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path

from legoexport.web.encodings import GZIP_SUFFIX
from legoexport.web.packages import BINARIES, LOADED_FILES

WORKER_FILE = "service_worker.js"


def own_digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each of ``files``."""
    return {name: _digest(content) for name, content in files.items()}


def runtime_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of onnxruntime-web as a page runs it, unpacked.

    Args:
        folder: What ``runtime_folder`` gives.
    """
    return {name: _digest(_unpacked(folder, name)) for name in LOADED_FILES}


def service_worker(template: bytes, description: bytes) -> bytes:
    """Return the service worker of a site.

    Args:
        template: ``service_worker.js`` of the page, which uses the constant ``SITE``.
        description: The contents of ``site.json``.
    """
    return f'const SITE = "{_digest(description)}";\n'.encode() + template


def _unpacked(folder: Path, name: str) -> bytes:
    if name not in BINARIES:
        return (folder / name).read_bytes()
    return gzip.decompress((folder / (name + GZIP_SUFFIX)).read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

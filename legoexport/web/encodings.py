"""Compressed variants of files: which lie beside a file, and which one a client takes.

Only onnxruntime-web has brotli's: it is compressed once, and brotli makes it a third smaller than
gzip does. For the rest of a page, which is compressed each time, the two differ by 2 %, and gzip
comes with Python.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping

# Names in Content-Encoding and the endings of files, the smallest first.
SUFFIXES = {"br": ".br", "gzip": ".gz"}
GZIP_SUFFIX = SUFFIXES["gzip"]
# A variant that saves less is not worth a second file.
LEAST_SAVED = 0.05


def compress(content: bytes) -> bytes:
    """Return ``content`` in gzip form, the same bytes at any time."""
    return gzip.compress(content, 9, mtime=0)


def with_variants(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return ``files`` and, beside each that gzip makes at least 5 % smaller, what it makes of it.

    Args:
        files: Contents by path in the site.
    """
    found = dict(files)
    for name, content in files.items():
        packed = compress(content)
        if len(packed) <= (1 - LEAST_SAVED) * len(content):
            found[name + GZIP_SUFFIX] = packed
    return found


def transferred_bytes(sizes_bytes: Mapping[str, int], name: str) -> int:
    """Return the bytes of the smallest variant of a file.

    Args:
        sizes_bytes: Size of every file of a site.
        name: The file, as a page loads it; it may lie there only compressed.
    """
    variants = [name, *(name + suffix for suffix in SUFFIXES.values())]
    return min(sizes_bytes[variant] for variant in variants if variant in sizes_bytes)


def accepted(header: str) -> list[str]:
    """Return those of our encodings that a client takes, the smallest first.

    Args:
        header: ``Accept-Encoding`` as it was sent, such as ``gzip, br;q=0.5``; empty for none.
    """
    weights = dict(_parse(part) for part in header.lower().split(",") if part.strip())
    return [name for name in SUFFIXES if weights.get(name, weights.get("*", 0.0)) > 0]


def _parse(part: str) -> tuple[str, float]:
    """Name and weight of a choice; a weight that is no number counts as a refusal."""
    name, _, parameters = part.partition(";")
    key, _, value = parameters.replace(" ", "").partition("=")
    if not key:
        return name.strip(), 1.0
    try:
        return name.strip(), float(value)
    except ValueError:
        return name.strip(), 0.0

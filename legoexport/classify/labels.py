"""The names of classes in a text file."""

from __future__ import annotations

from pathlib import Path

from legoexport.errors import UsageError
from legoexport.host.reading import read_bytes


def read_labels(path: Path, classes_count: int) -> tuple[str, ...]:
    """Read the names of the classes, one on each line.

    Raises:
        UsageError: It is unreadable, or does not have one name for each class.
    """
    try:
        text = read_bytes(path).decode().rstrip()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text in UTF-8") from None
    labels = tuple(line.strip() for line in text.splitlines())
    if len(labels) != classes_count or not all(labels):
        raise UsageError(
            f"{path} does not name every class",
            received=f"{len(labels)} lines, {sum(map(bool, labels))} of them not empty",
            legal=f"{classes_count} lines, in the order of the network's outputs",
        )
    return labels

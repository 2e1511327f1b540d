"""What a converted file gives for each image: scores, probabilities, or the likeliest classes."""

from __future__ import annotations

import re

from legoexport.errors import UsageError

SCORES, PROBABILITIES = "scores", "probabilities"
LEGAL = f"{SCORES}, {PROBABILITIES}, or top-N for the N likeliest classes, such as top-5"
_TOP = re.compile(r"top-([1-9][0-9]{0,8})", re.ASCII)


def is_output(text: str) -> bool:
    """Whether ``text`` names what a file can give."""
    return text in (SCORES, PROBABILITIES) or top_count(text) is not None


def check_output(text: str) -> None:
    """Refuse anything that names no output.

    Raises:
        UsageError: ``text`` does not.
    """
    if not is_output(text):
        raise UsageError("a file cannot give this", received=text, legal=LEGAL)


def top_count(output: str) -> int | None:
    """Return how many of the likeliest classes a file gives; None if it gives all."""
    found = _TOP.fullmatch(output)
    return int(found[1]) if found else None

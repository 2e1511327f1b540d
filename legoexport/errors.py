"""The errors a user can meet: what is wrong, what was received, what is legal, what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Self


class LegoExportError(Exception):
    """Any failure that legoexport explains itself.

    Args:
        problem: One sentence that names the file, layer or argument.
        received: The offending value.
        legal: The values that would have been accepted.
        next_step: What the user can do now.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        received: object = None,
        legal: object = None,
        next_step: str | None = None,
    ) -> None:
        details = {"received": received, "legal": legal, "next": next_step}
        lines = [f"  {label}: {value}" for label, value in details.items() if value is not None]
        super().__init__("\n".join([problem, *lines]))


class UsageError(LegoExportError):
    """The request cannot be carried out as made: a bad argument or a missing file. Exit code 2."""

    exit_code = 2

    @classmethod
    def unknown(
        cls, kind: str, received: str, legal: Iterable[str], *, next_step: str | None = None
    ) -> Self:
        """Return the error of a name that does not exist; the next step is the closest one.

        Args:
            kind: What has such names, such as ``target``.
            received: The name.
            legal: The names that there are.
            next_step: What to do where none of them is close.
        """
        names = tuple(legal)
        meant = closest(received, names)
        return cls(
            f"unknown {kind}",
            received=received,
            legal=", ".join(names),
            next_step=f"did you mean {meant}?" if meant else next_step,
        )


class CheckpointError(UsageError):
    """A checkpoint that is unreadable, refused, or does not fit the network. Exit code 2."""


class CheckFailed(LegoExportError):  # noqa: N818 - reads as the statement it makes
    """The request was carried out and a check on its result failed. Exit code 1."""


class InvariantBroken(CheckFailed):
    """A converted model breaks one of the promises every legoexport file keeps. Exit code 1."""


class ParityFailed(CheckFailed):
    """The ONNX file does not compute what PyTorch computes. Exit code 1."""


def closest(received: str, legal: Iterable[str]) -> str | None:
    """Return the legal name that ``received`` was likely meant for, or None if none is close."""
    by_lower = {name.lower(): name for name in legal}
    found = get_close_matches(received.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None

"""The errors a user can meet: what is wrong, what was received, what is legal, what to do next."""

from __future__ import annotations


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


class CheckpointError(UsageError):
    """A checkpoint that is unreadable, refused, or does not fit the network. Exit code 2."""


class CheckFailed(LegoExportError):  # noqa: N818 - reads as the statement it makes
    """The request was carried out and a check on its result failed. Exit code 1."""


class InvariantBroken(CheckFailed):
    """A converted model breaks one of the promises every legoexport file keeps. Exit code 1."""


class ParityFailed(CheckFailed):
    """The ONNX file does not compute what PyTorch computes. Exit code 1."""

"""Where temporary files go, and whether ONNX Runtime finds them there."""

from __future__ import annotations

import os
import tempfile

from legoexport.errors import UsageError
from legoexport.host.atomic import NO_ROOM


def check_temporary_folder() -> None:
    """Refuse a folder whose name Python and ONNX Runtime would write differently.

    ONNX Runtime takes names as UTF-8; Python has them as the locale says, such as LANG=C.

    Raises:
        UsageError: It is one.
    """
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:
        return  # not every command needs one
    if os.fsencode(folder) != folder.encode(errors="replace"):
        raise UsageError(
            "temporary files cannot go where TMPDIR says: the locale does not know its letters",
            received=folder,
            legal="a folder whose name is ASCII, or a locale of UTF-8",
            next_step="set TMPDIR=/tmp, or LC_ALL=C.UTF-8",
        )


def no_room(error: OSError) -> UsageError | None:
    """Explain an error that comes of a full disk under temporary files; None if it does not.

    Outputs and standard output explain theirs themselves.
    """
    if error.errno not in NO_ROOM:
        return None
    return UsageError(
        "there is no room for temporary files",
        received=error.strerror,
        next_step=f"make room in {tempfile.gettempdir()}, or set TMPDIR to another folder",
    )

"""qemu on this machine: where it is, and whether it is new enough."""

from __future__ import annotations

import re
import shutil
import subprocess

from legoexport.errors import UsageError

NAMES = ("qemu-aarch64", "qemu-aarch64-static")
# qemu 7.2, as in Debian 12, crashes in recent wheels of ONNX Runtime; 10.0 has run all of them.
LEAST_MAJOR = 10
NEXT_STEP = (
    f"install qemu-user {LEAST_MAJOR} or later: apt-get install qemu-user, on Debian 12 "
    "apt-get install qemu-user/bookworm-backports with bookworm-backports among the apt sources"
)


def find_qemu() -> tuple[str, str]:
    """Return the path of the emulator of arm64 programs, and its version such as ``10.0.2``.

    Raises:
        UsageError: It is not installed, or too old.
    """
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        problem = "runtime arm64 needs qemu to emulate the processor, and it is not installed"
        raise UsageError(problem, received=f"no {NAMES[0]} on PATH", next_step=NEXT_STEP)
    said = _first_line([path, "--version"])
    found = re.search(r"version (\d+)(\.\d+)*", said)
    if found is None or int(found[1]) < LEAST_MAJOR:
        legal = f"{LEAST_MAJOR} or later"
        raise UsageError(f"{path} is too old", received=said, legal=legal, next_step=NEXT_STEP)
    return path, found[0].removeprefix("version ")


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        return str(error.strerror)
    return (done.stdout.strip() or done.stderr.strip() or "no answer").splitlines()[0]

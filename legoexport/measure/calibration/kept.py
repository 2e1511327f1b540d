"""The constants of this machine as a file in the cache, named after the processor."""

from __future__ import annotations

import re
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.host import atomic
from legoexport.host.cache import XDG_STEP, cache_folder
from legoexport.host.kinds import Kind
from legoexport.host.machine import describe
from legoexport.host.outputs import Output, check_outputs
from legoexport.host.staging import make_folder
from legoexport.passes.machine_constants import MachineConstants

FOLDER = "machines"
ANEW = "legoexport calibrate measures them anew"


def kept_file(processor: str) -> Path:
    """Return where the constants of ``processor`` are, or will be."""
    name = re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-")
    return cache_folder(FOLDER) / f"{name or 'unknown'}.json"


def check_keeping() -> None:
    """Check early that `keep` can write what is going to be measured on this machine.

    Raises:
        UsageError: The cache cannot be written.
    """
    path = kept_file(describe().cpu_model)
    make_folder(path.parent, XDG_STEP)
    check_outputs([Output("the cache's", path, Kind.JSON)], {}, force=True)


def keep(constants: MachineConstants) -> Path:
    """Write the constants where ``constants_for_this_processor`` looks, and return the file.

    Raises:
        UsageError: The cache cannot be written.
    """
    path = kept_file(constants.processor)
    make_folder(path.parent, XDG_STEP)
    atomic.write_bytes(path, constants.to_json().encode())
    return path


def read_constants(path: Path) -> MachineConstants:
    """Read a file that ``legoexport calibrate`` wrote, of any machine.

    Raises:
        UsageError: It cannot be read, is damaged, or has another format version.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}", received=error, next_step=ANEW) from None
    return MachineConstants.from_json(text, source=str(path))


def constants_for_this_processor() -> MachineConstants | None:
    """Return what was measured on this processor with this ONNX Runtime, or None.

    Raises:
        UsageError: A file is kept, but it is damaged.
    """
    machine = describe()
    path = kept_file(machine.cpu_model)
    if not path.exists():
        return None
    found = read_constants(path)
    fits = (found.processor, found.onnxruntime) == (machine.cpu_model, machine.onnxruntime)
    return found if fits else None


def describe_constants() -> str:
    """Say in a line, without any path, whether the constants of this machine were measured."""
    try:
        found = constants_for_this_processor()
    except UsageError:
        return f"the constants in the cache are damaged: {ANEW}"
    if found is None:
        return "built-in constants: legoexport calibrate measures those of this processor"
    counts = ", ".join(str(rates.threads) for rates in found.rates)
    return f"measured on this processor with {counts} threads, sha256 {found.sha256[:12]}"

"""What converters say against a file, among all that they say."""

from __future__ import annotations

import re

# pnnx writes a network all the same, without the operators that it does not know.
UNKNOWN = ("todo ", "ignore ")
COLOUR = re.compile("\x1b\\[[0-9]*m")
# Where onnx2tf stopped, and why.
STOPPED = re.compile(r"\w+(\.\w+)*Error: |ERROR: onnx_op_name: ")


def against_pnnx(said: str) -> str:
    """Return what pnnx names that it does not know; empty if it knows all."""
    lines = [line for line in said.splitlines() if line.startswith(UNKNOWN)]
    others = f" and {len(lines) - 1} more" if lines[1:] else ""
    return lines[0] + others if lines else ""


def against_onnx2tf(said: str) -> str:
    """Return where onnx2tf stopped and why; its last line if it says neither."""
    lines = [COLOUR.sub("", line) for line in said.strip().splitlines()]
    told = [line for line in lines if STOPPED.match(line)]
    return " ".join(dict.fromkeys(told)) or lines[-1]

"""The machine that measures, as rows of a table and as JSON."""

from __future__ import annotations

from typing import Any

from legoexport.host.machine import Machine
from legoexport.host.report import format_bytes
from legoexport.measure.calibration.kept import describe_constants

UNKNOWN = "-"


def machine_rows(machine: Machine) -> list[tuple[str, str]]:
    """Return what the machine and its software are, a row each."""
    cores = f"{machine.physical_cores or UNKNOWN} physical, {machine.logical_cores} logical"
    return [
        ("processor", f"{machine.cpu_model} ({machine.architecture})"),
        ("cores", cores),
        ("memory", format_bytes(machine.memory_bytes)),
        ("system", machine.os),
        ("python", machine.python),
        ("onnxruntime", machine.onnxruntime),
        ("legoexport", machine.legoexport),
        ("cost model", describe_constants()),
    ]


def machine_json(machine: Machine) -> dict[str, Any]:
    """Return what the machine is, and whether the constants of its cost model were measured."""
    return machine.to_json() | {"cost_model": describe_constants()}

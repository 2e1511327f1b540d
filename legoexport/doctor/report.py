"""What a bug report has to tell about a machine and what is installed on it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any

import onnxruntime

from legoexport.host.machine import Machine, describe
from legoexport.host.processor import Processor, this_processor

# Those of pyproject.toml, extras for users included; the version of onnxruntime is the machine's.
PACKAGES = (
    *(
        "click",
        "Jinja2",
        "matplotlib",
        "numpy",
        "onnx",
        "onnx-ir",
        "onnxscript",
        "onnxsim",
        "Pillow",
    ),
    *("platformdirs", "psutil", "rich", "safetensors", "scikit-learn", "torch"),
)


@dataclass(frozen=True)
class Report:
    """The surroundings that a fault may depend on; nothing in it names a user or a path.

    Attributes:
        machine: Hardware, system, and versions of Python, ONNX Runtime and legoexport.
        processor: What the processor has for files in int8.
        providers: Execution providers of this ONNX Runtime, in its order.
        node: Version of Node.js, or None without a usable one.
        packages: Name and version of what legoexport builds on; None for what is not installed.
    """

    machine: Machine
    processor: Processor
    providers: tuple[str, ...]
    node: str | None
    packages: tuple[tuple[str, str | None], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the attributes under their own names."""
        return {
            "machine": self.machine.to_json(),
            "int8": self.processor.to_json(),
            "providers": list(self.providers),
            "node": self.node,
            "packages": dict(self.packages),
        }


def make_report(node: str | None) -> Report:
    """Look at this machine.

    Args:
        node: Version of Node.js; None without a usable one.
    """
    packages = tuple((name, _version(name)) for name in PACKAGES)
    providers = tuple(onnxruntime.get_available_providers())
    return Report(describe(), this_processor(), providers, node, packages)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

"""The graph that ONNX Runtime really runs: what is left of a file once it has been optimized."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import onnx
import onnxruntime

from legoexport.ort.session import FATAL_ONLY, open_session
from legoexport.signals import temporary_folder

LAYOUT_ENDING = re.compile(r"_token_\d+$")


@dataclass(frozen=True)
class OptimizedNode:
    """A node of the optimized graph.

    Attributes:
        name: Its name; what was fused is mostly called after the node that computed most.
        op: Its operator, such as ``QLinearConv`` or ``FusedConv``.
    """

    name: str
    op: str

    @property
    def name_in_file(self) -> str:
        """The name without what ONNX Runtime (1.32) appends where it changes the layout."""
        return LAYOUT_ENDING.sub("", self.name)


def optimized_nodes(
    model_bytes: bytes, entries: Mapping[str, str] = MappingProxyType({})
) -> tuple[OptimizedNode, ...]:
    """Return the nodes that the CPU provider of this machine runs.

    Args:
        model_bytes: The ONNX file.
        entries: Configuration entries of the session.

    Raises:
        UsageError: ONNX Runtime does not load the model.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    with temporary_folder("legoexport-optimized-") as folder:
        path = folder / "optimized.onnx"
        options.optimized_model_filepath = str(path)
        open_session(model_bytes, options)
        graph = onnx.load(path).graph
    return tuple(OptimizedNode(node.name, node.op_type) for node in graph.node)

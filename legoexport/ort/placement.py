"""Placement: which execution provider ONNX Runtime gives each node of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnxruntime

from legoexport.errors import UsageError

# Since ONNX Runtime 1.24 a session tells, without a run, which provider took each node.
RECORD_ASSIGNMENT = "session.record_ep_graph_assignment_info"


def node_providers(model_bytes: bytes, providers: Sequence[str]) -> Mapping[str, str]:
    """Return the provider of every node that is left after constant folding, by node name.

    Args:
        model_bytes: The ONNX file.
        providers: Names as ``onnxruntime.get_available_providers()`` has them, the preferred first.

    Raises:
        UsageError: ONNX Runtime does not load the model.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry(RECORD_ASSIGNMENT, "1")
    try:
        session = onnxruntime.InferenceSession(model_bytes, options, providers=list(providers))
    except Exception as error:
        raise UsageError("onnxruntime does not load the model", received=error) from error
    return {
        node.name: group.ep_name
        for group in session.get_provider_graph_assignment_info()
        for node in group.get_nodes()
    }

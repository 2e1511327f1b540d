"""Partitions come from what ONNX Runtime says of each node."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from legoexport.errors import UsageError
from legoexport.inspect.layer_partitions import layer_partitions
from legoexport.ort.placement import node_providers
from runtime_tests.layers import lowered, random_frozen


def test_every_node_that_is_left_has_a_provider() -> None:
    model = lowered(random_frozen(np.random.default_rng(0), padding=(1, 1)), 8, 8, "grouped")
    placed = node_providers(ir.to_proto(model).SerializeToString(), ["CPUExecutionProvider"])
    # The Gather of the weights is folded when the session is created.
    assert set(placed) == {"layer/transform/conv", "layer/merge/gather", "layer/merge/sum"}
    assert set(placed.values()) == {"CPUExecutionProvider"}


def test_a_layer_split_between_providers_names_both() -> None:
    placed = {
        "a/transform/conv": "XnnpackExecutionProvider",
        "a/merge/sum": "CPUExecutionProvider",
        "ab/transform/conv": "XnnpackExecutionProvider",
    }
    assert layer_partitions(placed, ["a", "ab"]) == {"a": "cpu+xnnpack", "ab": "xnnpack"}


def test_a_model_that_does_not_load_is_explained() -> None:
    with pytest.raises(UsageError, match="does not load"):
        node_providers(b"nonsense", ["CPUExecutionProvider"])

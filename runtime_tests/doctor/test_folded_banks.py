"""Doctor tells a file whose banks are folded from one as convert writes it."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from legoexport.doctor.cases import known_cases
from legoexport.doctor.folded_banks import folded_nodes
from legoexport.lego.counts import LegoShape
from legoexport.lego.layer_records import LAYERS_KEY, LayerRecord, write_layers
from legoexport.passes.lowerings import LOWERINGS
from runtime_tests.doctor.test_triggers import found as found_by
from runtime_tests.folding import fold
from runtime_tests.layers import lowered, random_frozen
from runtime_tests.runtimes.int8_files import converted

FROZEN = random_frozen(np.random.default_rng(0), o=4, m=32, n=64, fragment_channels=16)
SIZE = (12, 12)
# What these hold in the graph is the bank itself, folded or not.
NOTHING_TO_FOLD = {"fragment_batch", "fragment_stack"}


def file(lowering: str) -> onnx.ModelProto:
    model = ir.to_proto(lowered(FROZEN, *SIZE, lowering))
    shape = LegoShape(
        o=FROZEN.o,
        m=FROZEN.m,
        n=FROZEN.n,
        c=FROZEN.c,
        kernel=FROZEN.kernel,
        stride=FROZEN.stride,
        padding=FROZEN.padding,
        dilation=FROZEN.dilation,
        input_size=SIZE,
        filters_used=FROZEN.m,
        pairs_used=FROZEN.m,
    )
    output = model.graph.output[0].name
    record = LayerRecord("layer", model.graph.input[0].name, output, lowering, shape)
    model.metadata_props.add(key=LAYERS_KEY, value=write_layers([record]))
    return model


@pytest.mark.parametrize("lowering", sorted(LOWERINGS))
def test_layers_in_a_form_of_winograd_are_named(lowering: str) -> None:
    expected = ["layer"] * ("winograd" in lowering)
    assert found_by("winograd_layers", file(lowering)) == expected


@pytest.mark.parametrize("lowering", sorted(LOWERINGS))
def test_only_what_a_tool_has_folded_is_named(lowering: str) -> None:
    model = file(lowering)
    assert folded_nodes(model) == []
    found = folded_nodes(fold(model))
    assert len(found) == (lowering not in NOTHING_TO_FOLD)
    assert all(name.startswith("layer/") for name in found)


def test_so_it_is_in_int8() -> None:
    model = onnx.load_from_string(converted("cpu").model_bytes)
    assert folded_nodes(model) == []
    assert folded_nodes(fold(model))


def test_a_file_that_says_nothing_of_layers_or_nothing_readable() -> None:
    folded = fold(file("dense"))
    folded.metadata_props[0].value = json.dumps([{"layer": 3}])
    assert folded_nodes(folded) == []
    del folded.metadata_props[:]
    assert folded_nodes(folded) == []


def test_a_fused_file_has_lost_values_and_is_named_all_the_same() -> None:
    folded = fold(file("dense"))
    folded.metadata_props[0].value = folded.metadata_props[0].value.replace(
        f'"output": "{folded.graph.output[0].name}"', '"output": "gone"'
    )
    assert folded_nodes(folded)


def test_the_advice_names_compact() -> None:
    (case,) = (one for one in known_cases() if one.id == "banks-folded")
    assert case.severity == "note"
    assert case.remedies[0].startswith("legoexport compact FILE --like MODEL --out SMALL")

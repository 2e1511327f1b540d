"""What is written about the layers of a file is read back; anything else is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import onnx
import pytest
from onnx import TensorProto, helper

from legoexport.errors import UsageError
from legoexport.lego.counts import LegoShape
from legoexport.lego.layer_records import LAYERS_KEY, LayerRecord, read_layers, write_layers

SHAPE = LegoShape(
    o=2, m=4, n=8, c=8, kernel=(3, 1), stride=(2, 1), padding=(1, 0), dilation=(1, 1),
    input_size=(16, 9), filters_used=3, pairs_used=5,
)  # fmt: skip
RECORD = LayerRecord("features.3", "x", "y", "grouped", SHAPE)
# The text of files that are out there, key by key.
TEXT = (
    '[{"layer": "features.3", "input": "x", "output": "y", "lowering": "grouped", "o": 2, "m": 4, '
    '"n": 8, "c": 8, "kernel": [3, 1], "stride": [2, 1], "padding": [1, 0], "dilation": [1, 1], '
    '"input_size": [16, 9], "filters_used": 3, "pairs_used": 5}]'
)


def file_with(metadata: str | None) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    model = helper.make_model(
        helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    )
    if metadata is not None:
        model.metadata_props.add(key=LAYERS_KEY, value=metadata)
    return model


def test_the_text_stays_as_it_is() -> None:
    assert write_layers([RECORD]) == TEXT


def test_what_is_written_is_read_back() -> None:
    records = (RECORD, replace(RECORD, layer="features.3#2", input="y", output="y"))
    assert read_layers(file_with(write_layers(records))) == records
    assert read_layers(file_with("[]")) == ()
    assert read_layers(file_with(None)) is None


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        '""',
        "[1]",
        "[" * 100_000,
        TEXT.replace('"x"', "3"),
        TEXT.replace('"input": "x", ', ""),
        TEXT.replace('"c": 8', '"c": 7'),
        TEXT.replace('"pairs_used": 5', '"pairs_used": 9'),
        TEXT.replace('"kernel": [3, 1]', '"kernel": [3, 10]'),
    ],
    ids=["object", "text", "number", "deep", "input", "no input", "c % o", "pairs", "kernel"],
)
def test_damaged_metadata_is_refused(content: str) -> None:
    with pytest.raises(UsageError, match=r"legoexport\.layers metadata .* damaged"):
        read_layers(file_with(content))


def test_values_that_the_graph_has_not_are_named() -> None:
    with pytest.raises(UsageError, match=r"features\.3: the model has no value elsewhere"):
        read_layers(file_with(json.dumps(json.loads(TEXT)).replace('"y"', '"elsewhere"')))

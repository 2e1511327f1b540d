"""Networks of several inputs and outputs, through conversion, verification, bundle and page."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from legoexport.compile.stamp import read_integer_ranges
from legoexport.deliver.convert import Conversion, convert_module
from legoexport.errors import UsageError
from legoexport.measure.inputs import fill_shapes
from legoexport.ort.session import RuntimeModel, parse_model
from legoexport.parity.bundle import read_bundle, replay, save_bundle
from legoexport.parity.judge import combine
from legoexport.parity.verify import verify
from legoexport.runtimes.cpu import CpuRuntime
from legoexport.web.page_model import read_model
from runtime_tests.compile.user_networks import EXAMPLE, lego

BYTES = torch.zeros(1, 8, 8, 8, dtype=torch.uint8)
MASK = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
INDEX = torch.tensor([9])
INPUTS = ("image", "mask", "index")
HEAVY = pytest.mark.heavy


class Several(nn.Module):
    """An image of bytes, a mask and an index come in; floats, classes and a mask go out."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.table = lego(), nn.Embedding(10, 8)

    def forward(self, image: Tensor, mask: Tensor, index: Tensor) -> dict[str, Tensor | None]:
        y = self.body(image / 255) * torch.where(mask, 1.0, 0.5)
        y = y + self.table(index)[:, :, None, None]
        best = y.mean((2, 3)).argmax(1)
        # One key is what the exporter calls a value of its own.
        return {"relu": y, "nothing": None, "best": best, "on": y > 0}


@lru_cache
def network() -> Several:
    torch.manual_seed(0)
    return Several()


@lru_cache
def converted() -> Conversion:
    return convert_module(network(), (BYTES, MASK, INDEX))


def test_the_file_has_the_names_and_types_of_the_network() -> None:
    graph = onnx.load_from_string(converted().model_bytes).graph
    given = {one.name: one.type.tensor_type.elem_type for one in graph.input}
    assert given == dict(
        zip(INPUTS, (TensorProto.UINT8, TensorProto.BOOL, TensorProto.INT64), strict=True)
    )
    made = {one.name: one.type.tensor_type.elem_type for one in graph.output}
    assert made == {
        "relu": TensorProto.FLOAT,
        "best": TensorProto.INT64,
        "on": TensorProto.BOOL,
    }
    model = parse_model(converted().model_bytes, "m")
    assert read_integer_ranges(model) == {"index": (9, 9)}
    specs = [(one.name, "tensor(int64)", ["batch", *one.shape]) for one in specs_of()]
    assert [shape for *_, shape in fill_shapes(Path("m"), specs, 3)][2] == [3]


def specs_of() -> tuple[Any, ...]:
    return RuntimeModel(converted().model_bytes, 1).inputs


def test_every_output_is_verified_and_bundled(tmp_path: Path) -> None:
    model_bytes = converted().model_bytes
    found = verify(network(), model_bytes)
    assert found.passed
    assert len(found.agreements) == 9
    assert found.agreement.images_count == 24, "each image counts once, not once per output"
    assert "uniform in [0, 1), best" in found.agreements
    save_bundle(tmp_path / "bundle", model_bytes, found.golden)
    sets = read_bundle(tmp_path / "bundle", model_bytes)
    replayed = replay(sets, RuntimeModel(model_bytes, 1))
    assert list(replayed) == list(found.agreements)
    assert combine(replayed).passed
    sets[1].outputs[1].values[0] += 1
    sets[1].outputs[1].float32_values[0] += 1  # type: ignore[index]
    wrong = combine(replay(sets, RuntimeModel(model_bytes, 1)))
    assert not wrong.passed
    assert wrong.output == "best"


def negated(model: onnx.ModelProto, op_type: str, op_type_instead: str) -> bytes:
    node = next(node for node in model.graph.node if node.op_type == op_type)
    node.op_type = op_type_instead
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("op_type", "instead", "output"),
    [("ArgMax", "ArgMin", "best"), ("Greater", "Less", "on")],
)
def test_a_wrong_later_output_is_found(op_type: str, instead: str, output: str) -> None:
    model = onnx.load_from_string(converted().model_bytes)
    found = verify(network(), negated(model, op_type, instead))
    assert not found.passed
    assert output in str(found.agreement)
    wrong = {name for name, one in found.agreements.items() if not one.passed}
    assert wrong
    assert all(name.endswith(f", {output}") for name in wrong)
    assert found.diagnosis


def test_a_wrong_entry_of_a_table_is_found() -> None:
    model = onnx.load_from_string(converted().model_bytes)
    (table,) = (one for one in model.graph.initializer if one.name == "table.weight")
    values = numpy_helper.to_array(table).copy()
    values[9, 3] += 0.5
    table.CopyFrom(numpy_helper.from_array(values, table.name))
    assert not verify(network(), model.SerializeToString()).passed


def test_what_takes_one_image_refuses_others(tmp_path: Path) -> None:
    path = tmp_path / "several.onnx"
    path.write_bytes(converted().model_bytes)
    with pytest.raises(UsageError, match="one image tensor"):
        read_model(path)
    with pytest.raises(UsageError, match="one image tensor"):
        verify(network(), path, elsewhere=(CpuRuntime(1),))
    with pytest.raises(UsageError, match="one image tensor"):
        verify(network(), path, data=np.zeros((2, 8, 8, 8), np.float32))


def test_another_number_of_inputs_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"(?s)Several does not take 1 inputs.*image.*mask"):
        convert_module(network(), EXAMPLE)


class Pair(nn.Module):
    """Two images, a value given twice and an input given back."""

    def __init__(self) -> None:
        super().__init__()
        self.body = lego()

    def forward(self, x: Tensor, *others: Tensor) -> Any:
        y = self.body(x + others[0])
        return y, [y, others[0]], {"a": y.sum(1)}


@HEAVY
def test_values_given_twice_and_inputs_given_back() -> None:
    conversion = convert_module(Pair(), [EXAMPLE, EXAMPLE])
    graph = onnx.load_from_string(conversion.model_bytes).graph
    assert [one.name for one in graph.input] == ["x", "others_0"]
    assert [one.name for one in graph.output] == [f"output_{i}" for i in range(4)]
    assert verify(Pair(), conversion.model_bytes).passed is False, "another network's weights"


@pytest.mark.parametrize("key", ["integer_ranges", "integer_ranges_sha256"])
def test_ranges_of_integers_that_were_changed_are_noticed(key: str) -> None:
    model = onnx.load_from_string(converted().model_bytes)
    entry = next(one for one in model.metadata_props if one.key == f"legoexport.{key}")
    entry.value = entry.value.replace("9", "8")
    found = verify(network(), model.SerializeToString())
    assert not found.passed
    assert [one.where for one in found.exact.differences] == ["legoexport.integer_ranges_sha256"]

"""The walk: every wrong entry of every table is found, and in the right layer."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from legoexport.errors import LegoExportError, UsageError
from legoexport.models.lego_conv import LegoConv2d
from legoexport.ort.session import RuntimeModel
from legoexport.ort.subgraph import cut_layer
from legoexport.parity.expectation import (
    EmittedLayer,
    ExpectedLayer,
    emitted_layers,
    expected_layers,
)
from legoexport.parity.inputs import random_inputs
from legoexport.parity.judge_outputs import check_model
from legoexport.parity.layer_check import LayerAgreement
from legoexport.parity.records import read_records
from legoexport.parity.walk import first_failure, walk
from legoexport.passes.lowerings import LOWERINGS
from runtime_tests.parity.networks import (
    INPUT_SHAPE,
    LAYER_NAMES,
    SmallNet,
    convert,
    converted,
    small_net,
)

CORRUPTIONS_COUNT = 3
IMAGES = random_inputs(INPUT_SHAPE, None)[0]
EXAMPLE = torch.zeros(1, *INPUT_SHAPE)


@lru_cache
def emitted() -> dict[str, EmittedLayer]:
    return emitted_layers(converted("grouped").network, EXAMPLE)


@lru_cache
def expected(lowering: str) -> tuple[ExpectedLayer, ...]:
    model = converted(lowering).model
    return expected_layers(model, read_records(model), emitted())


def tables(model: onnx.ModelProto, layer: str, dtype: type[np.generic]) -> list[onnx.TensorProto]:
    """Index tables or float tables, of several entries, that only this layer reads."""
    readers: dict[str, set[str]] = {}
    gathered: set[str] = set()
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, set()).add(node.name.partition("/")[0])
        gathered.update(node.input[1:] if node.op_type == "Gather" else ())
    own = [t for t in model.graph.initializer if readers.get(t.name) == {layer}]
    arrays = {t.name: numpy_helper.to_array(t) for t in own}
    # The other integers are sizes and shapes: a wrong one does not run at all.
    wanted = gathered if dtype is np.integer else set(arrays) - gathered
    return [
        t
        for t in own
        if t.name in wanted
        and np.issubdtype(arrays[t.name].dtype, dtype)
        and arrays[t.name].size > 1
    ]


def loads_and_differs(model: onnx.ModelProto, healthy: onnx.ModelProto, at: ExpectedLayer) -> bool:
    """Whether the layer still runs, and gives something else on an ordinary input."""
    x = np.random.default_rng(1).standard_normal((2, *at.emitted.input_shape)).astype(np.float32)
    outputs = []
    for one in (model, healthy):
        cut = cut_layer(one, at.record.input, at.record.output, ("batch", *x.shape[1:]))
        try:
            outputs.append(RuntimeModel(cut.SerializeToString(), 1).run(x, 2))
        except LegoExportError:
            return False
    difference = np.abs(outputs[0] - outputs[1]).max(axis=(0, 2, 3))
    return bool((difference > 1e-4).any())


def corrupt(
    tensor: onnx.TensorProto, rng: np.random.Generator, dtype: type[np.generic] = np.floating
) -> None:
    """Point one index elsewhere, or scale one coefficient."""
    array = numpy_helper.to_array(tensor).copy()
    entry = int(rng.integers(array.size))
    if dtype is np.floating:
        array.flat[entry] *= 1.01
    else:
        array.flat[entry] = rng.choice(np.delete(array, entry))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def check(model: onnx.ModelProto, lowering: str) -> tuple[LayerAgreement, ...]:
    return walk(model, expected(lowering), IMAGES, threads=1)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_sound_file_passes_with_room_to_spare(lowering: str) -> None:
    agreements = check(converted(lowering).model, lowering)
    assert [agreement.layer for agreement in agreements] == list(LAYER_NAMES)
    assert all(agreement.limit_ratio < 0.5 for agreement in agreements)


@pytest.mark.parametrize("layer", range(3))
@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("dtype", [np.integer, np.floating])
def test_one_wrong_entry_is_found_in_its_layer(
    lowering: str, layer: int, dtype: type[np.generic]
) -> None:
    rng = np.random.default_rng(layer)
    at = expected(lowering)[layer]
    if not tables(converted(lowering).model, LAYER_NAMES[layer], dtype):
        pytest.skip("this lowering keeps no such table for this layer")
    found = 0
    for _ in range(10 * CORRUPTIONS_COUNT):
        model = converted(lowering).copy()
        candidates = tables(model, LAYER_NAMES[layer], dtype)
        tensor = candidates[int(rng.integers(len(candidates)))]
        corrupt(tensor, rng, dtype)
        if not loads_and_differs(model, converted(lowering).model, at):
            continue
        failure = first_failure(check(model, lowering))
        assert failure is not None, tensor.name
        assert failure.layer == LAYER_NAMES[layer]
        found += 1
        if found == CORRUPTIONS_COUNT:
            break
    assert found


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_wrong_bank_entry_is_found_in_its_layer(lowering: str) -> None:
    model = converted(lowering).copy()
    bank = next(t for t in model.graph.initializer if t.name == "features.6.tables.lego")
    corrupt(bank, np.random.default_rng(0))
    failure = first_failure(check(model, lowering))
    assert failure is not None
    assert failure.layer == "features.6"


def test_an_error_that_reaches_no_output_today_is_found() -> None:
    net = small_net()
    channel = 3
    with torch.no_grad():
        net.classifier.weight[:, channel] = 0
    file = convert(net, "grouped")
    model = file.copy()
    bias = next(t for t in model.graph.initializer if t.name == "features.8/merge/bias")
    array = numpy_helper.to_array(bias).copy()
    array[channel] += 0.5
    bias.CopyFrom(numpy_helper.from_array(array, bias.name))
    assert check_model(net, model.SerializeToString(), INPUT_SHAPE, growth=1.0).passed
    layers = expected_layers(model, read_records(model), emitted_layers(file.network, EXAMPLE))
    failure = first_failure(walk(model, layers, IMAGES, threads=1))
    assert failure is not None
    assert (failure.layer, failure.worst_channel) == ("features.8", channel)


def test_a_wrong_index_under_a_tiny_coefficient_is_found() -> None:
    net = small_net()
    output, fragment = 7, 1
    with torch.no_grad():
        net.get_parameter("features.6.coefficients")[fragment, output] *= 1e-9
    file = convert(net, "grouped")
    model = file.copy()
    index = next(t for t in model.graph.initializer if t.name == "features.6/merge/index")
    array = numpy_helper.to_array(index).copy()
    entry = output * 4 + fragment
    others = array[fragment::4][array[fragment::4] != array[entry]]
    array[entry] = others[0]
    index.CopyFrom(numpy_helper.from_array(array, index.name))
    assert check_model(net, model.SerializeToString(), INPUT_SHAPE, growth=1.0).passed
    layers = expected_layers(model, read_records(model), emitted_layers(file.network, EXAMPLE))
    failure = first_failure(walk(model, layers, IMAGES, threads=1))
    assert failure is not None
    assert (failure.layer, failure.worst_channel) == ("features.6", output)


class Unusual(nn.Module):
    """Lego into Lego, a layer called twice, a batch norm that stays, a Lego layer as output."""

    def __init__(self) -> None:
        super().__init__()
        self.first = LegoConv2d(3, 6, 3, o=1, m=4, padding=1)
        self.twice = LegoConv2d(6, 6, 3, o=2, m=3, padding=1, coefficients=False)
        self.norm = nn.BatchNorm2d(6)
        self.last = LegoConv2d(6, 4, 3, o=3, m=3, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.twice(self.first(x))
        z: Tensor = self.last(torch.relu(self.norm(y) + y) + self.twice(y))
        return z


@pytest.mark.parametrize(
    ("lowering", "batch"), [("grouped", None), ("per_fragment", 1), ("dense", 3)]
)
def test_unusual_networks_are_walked(lowering: str, batch: int | None) -> None:
    torch.manual_seed(0)
    net = Unusual().eval()
    with torch.no_grad():
        net.norm.running_var.mul_(3)
        net.norm.running_mean.add_(1)
    file = convert(net, lowering, batch=batch)
    layers = expected_layers(
        file.model, read_records(file.model), emitted_layers(file.network, EXAMPLE)
    )
    assert [one.record.layer for one in layers] == ["first", "twice", "twice#2", "last"]
    inputs = random_inputs(INPUT_SHAPE, batch)[0]
    assert first_failure(walk(file.model, layers, inputs, threads=1)) is None


def test_another_network_is_refused_by_name() -> None:
    net = nn.Sequential(SmallNet())
    file = convert(net.eval(), "grouped")
    records = read_records(converted("grouped").model)
    with pytest.raises(UsageError, match="different Lego layers"):
        expected_layers(file.model, records, emitted_layers(file.network, EXAMPLE))


def test_damaged_metadata_is_refused() -> None:
    model = converted("grouped").copy()
    entry = next(e for e in model.metadata_props if e.key == "legoexport.layers")
    entry.value = entry.value.replace("features.6/output", "features.6/elsewhere")
    with pytest.raises(UsageError, match=r"features\.6/elsewhere"):
        read_records(model)
    entry.value = '[{"layer": 3}]'
    with pytest.raises(UsageError, match="damaged"):
        read_records(model)

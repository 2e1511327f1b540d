"""Calibration sees the values that PyTorch computes, and the maps of the definition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import choose_plan, lower, prepare
from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.errors import UsageError
from legoexport.lego.frozen import FrozenLego
from legoexport.quantize.observe import Observer
from runtime_tests.networks import small_net
from runtime_tests.quantize.networks import IMAGE_SHAPE, NETWORKS, images, prepared_network
from runtime_tests.reference import Array, convolve

# Both sides sum a few hundred float32 products of numbers around one.
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=NETWORKS)
def observer(request: pytest.FixtureRequest) -> tuple[Prepared, Observer]:
    prepared = prepared_network(NETWORKS[request.param]())
    return prepared, Observer(prepared, threads=1)


def test_activations_are_those_of_pytorch() -> None:
    network = small_net()
    observer = Observer(prepared_network(network), threads=1)
    (values,) = observer.run(images(4))
    expected = torch_values(network.eval(), images(4))
    assert expected.keys() <= set(observer.observed.activations)
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=0, atol=TOLERANCE)


def torch_values(network: nn.Module, batch: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """What leaves each Lego layer and its batch norm, with the names in a converted file."""
    named = {"first_norm": "first/output", "second": "second/output", "third_norm": "third/output"}
    seen: dict[str, NDArray[Any]] = {"input": batch}
    for module, name in named.items():
        network.get_submodule(module).register_forward_hook(
            lambda _module, _inputs, y, name=name: seen.update({name: y.detach().numpy()})
        )
    with torch.no_grad():
        seen["output"] = network(torch.from_numpy(batch)).numpy()
    return seen


def test_maps_are_those_of_the_definition(observer: tuple[Prepared, Observer]) -> None:
    prepared, one = observer
    (values,) = one.run(images(3))
    layers = lower(prepared, choose_plan(prepared)).layers
    assert {layer.layer for layer in layers} == set(one.observed.maps)
    for layer in layers:
        seen = values[one.observed.maps[layer.layer]]
        expected = used_maps(layer.frozen, values[layer.input].astype(np.float64))
        np.testing.assert_allclose(seen, expected, rtol=0, atol=TOLERANCE)


def used_maps(frozen: FrozenLego, x: Array) -> Array:
    """I[i, j] of the pairs in use, found from the index table itself."""
    geometry = (frozen.stride, frozen.padding, frozen.dilation)
    fragments = np.split(x, frozen.o, axis=1)
    pairs = sorted({(i, int(j)) for i in range(frozen.o) for j in frozen.index[i]})
    lego = frozen.lego.astype(np.float64)
    return np.concatenate(
        [convolve(fragments[i], lego[j : j + 1], *geometry) for i, j in pairs], axis=1
    )


def test_names_are_those_of_the_finished_graph(observer: tuple[Prepared, Observer]) -> None:
    prepared, one = observer
    compiled = lower(prepared, choose_plan(prepared))
    graph = compiled.model.graph
    ends = {value.name for value in (*graph.input, *graph.output)}
    ends |= {name for layer in compiled.layers for name in (layer.input, layer.output)}
    assert ends <= set(one.observed.activations)


def test_weights_are_no_activations(observer: tuple[Prepared, Observer]) -> None:
    _, one = observer
    constants = {tensor.name for tensor in one.observed.model.graph.initializer}
    assert not constants & set(one.observed.activations)


def test_the_observed_model_is_standard_onnx(observer: tuple[Prepared, Observer]) -> None:
    model = observer[1].observed.model
    assert {node.domain for node in model.graph.node} == {""}
    assert {one.domain for one in model.opset_import} == {""}
    assert isinstance(model, onnx.ModelProto)


def test_watching_leaves_the_network_alone(observer: tuple[Prepared, Observer]) -> None:
    prepared, _ = observer
    before = lower(prepared, choose_plan(prepared)).model.SerializeToString(deterministic=True)
    Observer(prepared, threads=1)
    after = lower(prepared, choose_plan(prepared)).model.SerializeToString(deterministic=True)
    assert before == after


@pytest.mark.parametrize("name", NETWORKS)
def test_what_fills_up_a_fixed_batch_is_not_shown(name: str) -> None:
    network = NETWORKS[name]()
    options = CompileOptions(dynamic_batch=False)
    fixed = Observer(prepared_network(network, options, 4), threads=1)
    runs: list[Mapping[str, NDArray[Any]]] = list(fixed.run(images(6)))
    assert [len(run["input"]) for run in runs] == [4, 2]
    (whole,) = Observer(prepared_network(network), threads=1).run(images(6))
    assert runs[0].keys() == runs[1].keys() == whole.keys()
    for value, expected in whole.items():
        shown = np.concatenate([run[value] for run in runs])
        np.testing.assert_allclose(shown, expected, rtol=0, atol=TOLERANCE)


def test_rows_that_fold_the_batch_are_those_of_the_images() -> None:
    class Frames(nn.Module):
        """Halves of an image go through a layer as images of their own, and are added up."""

        def __init__(self) -> None:
            super().__init__()
            self.body = small_net()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            halves = x.reshape(8, 3, 5, 10)
            y: torch.Tensor = self.body(halves)
            return y.reshape(4, 2, -1).sum(1)

    options = CompileOptions(dynamic_batch=False)
    observer = Observer(prepared_network(Frames(), options, 4), threads=1)
    (first, last) = observer.run(images(5))
    assert [len(run["input"]) for run in (first, last)] == [4, 1]
    assert [len(run["body.second/output"]) for run in (first, last)] == [8, 2]


def test_what_a_run_takes_is_known_before(observer: tuple[Prepared, Observer]) -> None:
    _, one = observer
    (values,) = one.run(images(2))
    names = {*one.observed.activations, *one.observed.maps.values()}
    assert one.observed.image_bytes == sum(values[name][0].nbytes for name in names)
    assert one.batch_size == 64


def test_few_large_images_are_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    observer = Observer(prepared_network(small_net()), threads=1)
    for images_count, memory in ((1, 0.5), (3, 3.9)):
        memory_bytes = int(memory * observer.observed.image_bytes)
        monkeypatch.setattr("legoexport.quantize.observe.BYTES_AT_ONCE", memory_bytes)
        assert observer.batch_size == images_count


def test_two_images_at_a_time_are_refused() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = small_net()

        def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.body(one + other)
            return y

    example = (torch.zeros(1, *IMAGE_SHAPE), torch.zeros(1, *IMAGE_SHAPE))
    prepared = prepare(freeze(Two(), example), example, CompileOptions())
    with pytest.raises(UsageError, match="must take one image tensor"):
        Observer(prepared, threads=1)

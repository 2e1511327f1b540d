"""What int8 costs the scores, counted once more by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from legoexport.commands.cost_view import print_cost
from legoexport.errors import UsageError
from legoexport.parity.inputs import InputSet
from legoexport.quantize.cost import RoundingCost, rounding_cost
from legoexport.quantize.scores_cost import TrainedScores
from runtime_tests.quantize.int8_network import Int8Network, small_int8

COUNT, CLASSES = 8, 10


@pytest.fixture(scope="module")
def network() -> Int8Network:
    return small_int8()


@pytest.fixture(scope="module")
def trained(network: Int8Network) -> NDArray[np.float32]:
    """What PyTorch gives."""
    with torch.no_grad():
        return np.asarray(network.module(torch.from_numpy(network.images)).numpy())


@pytest.fixture(scope="module")
def broken(network: Int8Network) -> bytes:
    """A file whose classifier reads its features in another order."""
    model = network.lowered().model
    (codes,) = (one for one in model.graph.initializer if one.name == "classifier.weight_codes")
    turned = np.ascontiguousarray(np.roll(numpy_helper.to_array(codes), 5, axis=1))
    codes.CopyFrom(numpy_helper.from_array(turned, codes.name))
    return model.SerializeToString()


@pytest.fixture(scope="module")
def cost(network: Int8Network, trained: NDArray[np.float32], broken: bytes) -> RoundingCost:
    labels = np.arange(COUNT) % 2 + trained.argmax(axis=1)
    images = InputSet("digits", (network.images,), 1, labels % CLASSES)
    sets = [images, replace(images, name="others", labels=None)]
    scores = TrainedScores(network.module, sets, threads=1)
    compiled = network.lowered()
    files = {"int8": compiled.model.SerializeToString(), "broken": broken}
    return rounding_cost(network.trained, compiled, [network.images], scores, files)


def scores_of(model_bytes: bytes, images: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model_bytes, providers=["CPUExecutionProvider"])
    (name,) = (one.name for one in session.get_inputs())
    return np.concatenate([session.run(None, {name: one[None]})[0] for one in images])


def test_files_are_counted_against_the_trained_network(
    cost: RoundingCost, network: Int8Network, trained: NDArray[np.float32], broken: bytes
) -> None:
    labelled, unlabelled = cost.scores
    assert (labelled.name, labelled.images_count) == ("digits", COUNT)
    # Every second label is the class that the trained network says.
    assert (labelled.right_count, unlabelled.right_count) == (COUNT // 2, None)
    good, bad = labelled.files
    assert (good.file, good.agreeing_count, good.right_count) == ("int8", COUNT, COUNT // 2)
    found = scores_of(broken, network.images).argmax(axis=1)
    classes = trained.argmax(axis=1)
    right = int((found[::2] == classes[::2]).sum())
    right += int((found[1::2] == (classes[1::2] + 1) % CLASSES).sum())
    assert bad.agreeing_count == int((found == classes).sum()) < COUNT
    assert bad.right_count == right
    assert [one.right_count for one in unlabelled.files] == [None, None]


@pytest.mark.parametrize(("channels", "verb"), [(3, "gives"), (1, "takes")])
def test_a_file_of_another_network_is_named(network: Int8Network, channels: int, verb: str) -> None:
    """It gives the means of its channels, which are not as many as there are classes."""
    _, _, height, width = network.images.shape
    kind = onnx.TensorProto.FLOAT
    pool = helper.make_node("GlobalAveragePool", ["image"], ["means"])
    graph = helper.make_graph(
        [pool, helper.make_node("Flatten", ["means"], ["scores"])],
        "other",
        [helper.make_tensor_value_info("image", kind, ["batch", channels, height, width])],
        [helper.make_tensor_value_info("scores", kind, ["batch", channels])],
    )
    other = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    images = InputSet("digits", (network.images,), 1)
    scores = TrainedScores(network.module, [images], threads=1)
    with pytest.raises(UsageError, match=f"dense twin: it {verb} other shapes"):
        scores.cost({"dense twin": other.SerializeToString()})


def test_the_ratio_is_that_of_powers(
    cost: RoundingCost, network: Int8Network, trained: NDArray[np.float32], broken: bytes
) -> None:
    error = scores_of(broken, network.images) - trained
    expected = 10 * np.log10(np.square(trained).sum() / np.square(error).sum())
    _, bad = cost.scores[0].files
    # The kernels for integers round their sums once less than float32 does.
    assert bad.sqnr_db == pytest.approx(expected, abs=0.05)


def test_drops_are_counted_in_points(
    network: Int8Network, trained: NDArray[np.float32], broken: bytes
) -> None:
    classes = trained.argmax(axis=1)
    right = InputSet("right", (network.images,), 1, classes)
    wrong = replace(right, labels=(classes + 1) % CLASSES)
    unlabelled = replace(right, labels=None)
    found = scores_of(broken, network.images).argmax(axis=1)
    lost = 100 * float((found != classes).mean())
    gained = 100 * float((found == (classes + 1) % CLASSES).mean())
    for sets, expected in (
        ([right], lost),
        ([unlabelled], lost),
        ([wrong], -gained),
        ([unlabelled, right], lost),  # labels count where there are any
        ([right, wrong], (lost - gained) / 2),
    ):
        scores = TrainedScores(network.module, sets, threads=1)
        assert scores.drop_points(broken) == pytest.approx(expected, rel=1e-12)
        assert scores.drop_points(network.lowered().model.SerializeToString()) == 0


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_a_label_that_is_no_class_does_not_count_as_wrong(network: Int8Network, label: int) -> None:
    labels = np.array([0] * (COUNT - 1) + [label])
    scores = TrainedScores(network.module, [InputSet("any", (network.images,), 1, labels)], 1)
    with pytest.raises(UsageError, match=f"(?s)none of the network's classes.*received: {label}"):
        scores.drop_points(network.lowered().model.SerializeToString())


def test_a_network_without_classes_has_no_accuracy_to_lose(network: Int8Network) -> None:
    features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    scores = TrainedScores(features, [InputSet("any", (network.images,), 1)], threads=1)
    with pytest.raises(UsageError, match="--max-drop"):
        scores.drop_points(b"")


def test_it_is_json_without_nan(cost: RoundingCost) -> None:
    content = json.loads(json.dumps(cost.to_json(), allow_nan=False))
    assert [one["layer"] for one in content["layers"]][1:4] == ["first", "second", "third"]
    assert content["scores"][0]["files"][0]["file"] == "int8"


def test_the_tables_show_every_file_and_layer(
    cost: RoundingCost, capsys: pytest.CaptureFixture[str]
) -> None:
    print_cost(cost, "int8", "fp32")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["digits", "8", "trained", "-", "-", "4"] in lines
    first = next(one for one in cost.layers if one.layer == "first")
    (shown,) = (line for line in lines if line[:2] == ["first", "int8"])
    ratios = (first.sqnr_weights_db, first.sqnr_activations_db, first.sqnr_both_db)
    assert shown[3:6] == [f"{ratio:.1f}" for ratio in ratios]
    (last,) = (line for line in lines if line[:1] == ["classifier"])
    assert last[1] == "(node_linear)"
    assert last[-2:] == ["-", "-"]

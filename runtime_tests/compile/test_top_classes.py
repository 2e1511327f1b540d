"""``--output top-N``: the likeliest classes, ranked in the file and proved against all of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from PIL import Image

from legoexport.classify.classifier import open_classifier
from legoexport.classify.predict import predict
from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import compile_network
from legoexport.compile.stages import CompileOptions, Stage
from legoexport.deliver.convert import convert_module
from legoexport.errors import CheckFailed, ParityFailed, UsageError
from legoexport.lego.file_facts import FileFacts, read_facts
from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.ort.session import InputSpec
from legoexport.parity.agreement import Agreement
from legoexport.parity.blame import TOP_CLASSES, network_check
from legoexport.parity.inputs import InputSet, draw_inputs
from legoexport.parity.judge_outputs import judge_outputs
from legoexport.parity.rankings import largest
from legoexport.parity.reference import Reference, ReferenceOutput, reference_of
from legoexport.parity.verify import verify
from legoexport.target import find_target
from runtime_tests.command_line import legoexport
from runtime_tests.networks import randomize, small_net

SIZE = (12, 10)
NETWORK = small_net().eval()
EXAMPLE = torch.zeros(1, 3, *SIZE)
COUNT = 3
# Scores of float32 sums, through a softmax whose slope is at most 1/4.
TOLERANCE = 1e-5
NAMES = ("probabilities", "indices")


@pytest.fixture(scope="module")
def file() -> bytes:
    return convert_module(NETWORK, EXAMPLE, CompileOptions(output="top-3")).model_bytes


def test_it_gives_the_likeliest_classes_and_is_proved(file: bytes) -> None:
    images = np.random.default_rng(0).standard_normal((4, 3, *SIZE)).astype(np.float32)
    session = onnxruntime.InferenceSession(file)
    assert tuple(one.name for one in session.get_outputs()) == NAMES
    shares, classes = session.run(None, {"input": images})
    assert (shares.shape, classes.shape) == ((4, COUNT), (4, COUNT))
    assert (shares.dtype, classes.dtype) == (np.float32, np.int64)
    with torch.no_grad():
        scores = small_net().eval().double()(torch.from_numpy(images).double()).numpy()
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    truth = powers / powers.sum(axis=1, keepdims=True)
    assert np.abs(np.take_along_axis(truth, classes, axis=1) - shares).max() < TOLERANCE
    assert np.abs(-np.sort(-truth, axis=1)[:, :COUNT] - shares).max() < TOLERANCE
    facts = read_facts(onnx.load_from_string(file))
    assert (facts.output, facts.classes_count) == ("top-3", scores.shape[1])
    found = verify(NETWORK, file)
    assert found.passed
    assert found.exact.to_json()["equal"] is True
    assert {f"pixels, {name}" for name in NAMES}.isdisjoint(found.agreements)
    assert {f"standard normal, {name}" for name in NAMES} <= set(found.agreements)


def test_another_number_of_classes_in_the_file_is_found(file: bytes) -> None:
    model = onnx.load_from_string(file)
    count = next(one for one in model.graph.initializer if one.name == "top/count")
    count.CopyFrom(numpy_helper.from_array(np.array([2]), "top/count"))
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value = 2
    with pytest.raises(ParityFailed, match=r"top/count.*2 instead of 3"):
        verify(NETWORK, model.SerializeToString())


def judged(shares: list[float], classes: list[int]) -> Agreement:
    """Judge two classes of four, whose probabilities are 0.4, 0.3, 0.2999999 and 0."""
    truth = np.array([[0.4, 0.3, 0.2999999, 0.0000001]])
    whole = ReferenceOutput(truth, truth.astype(np.float32))
    first, places = largest(truth, 2)
    reference = Reference(
        (
            ReferenceOutput(first, first.astype(np.float32), whole),
            ReferenceOutput(places, places, whole),
        )
    )
    outputs = (np.array([shares], np.float32), np.array([classes]))
    found = judge_outputs(
        [InputSet("set", (np.zeros((1, 1), np.float32),), 1)],
        [reference],
        [outputs],
        growth=1.0,
        names=NAMES,
        ranked=[TOP_CLASSES],
    )
    return found["set, indices"]


def test_a_class_that_pytorch_ranks_lower_is_right_only_within_the_limit() -> None:
    assert judged([0.4, 0.3], [0, 1]).passed
    tied = judged([0.4, 0.3], [0, 2])
    assert (tied.passed, tied.unsettled_count) == (True, 1)
    for wrong in ([0, 3], [1, 0], [0, 0], [0, 9], [-1, 1]):
        assert not judged([0.4, 0.3], wrong).passed


def test_each_stage_before_it_is_judged_by_what_it_gives() -> None:
    options, stages = CompileOptions(output="top-3"), list[Stage]()
    compile_network(freeze(NETWORK, EXAMPLE), (EXAMPLE,), options, stages.append)
    inputs = draw_inputs((InputSpec("input", "float32", (3, *SIZE)),), None, {})[0]
    facts = FileFacts({"output": "top-3"})
    for output, wrong in (("top-3", []), ("top-2", [stage.name for stage in stages])):
        reference = reference_of(NETWORK, None, output).run(*inputs.arrays)
        is_right = network_check(inputs, reference, 1.0, facts)

        def fails(stage: Stage) -> bool:
            try:
                return not is_right(stage.model)  # noqa: B023 - called at once
            except UsageError:
                return True

        assert [stage.name for stage in stages if fails(stage)] == wrong


@pytest.mark.parametrize("output", ["top-0", "top-", "top-x", "softmax", "top-1e3", "top-٣"])
def test_what_is_no_output_is_refused(output: str) -> None:
    with pytest.raises(UsageError, match="cannot give this"):
        CompileOptions(output=output)
    with pytest.raises(UsageError, match="output in the model's metadata is damaged"):
        _ = FileFacts({"output": output}).output


def test_more_classes_than_there_are_and_targets_without_topk_are_refused() -> None:
    with pytest.raises(UsageError, match="fewer classes"):
        convert_module(NETWORK, EXAMPLE, CompileOptions(output="top-1000"))
    coreml = CompileOptions(find_target("coreml"), output="top-1")
    with pytest.raises(UsageError, match="TopK"):
        convert_module(NETWORK, EXAMPLE, coreml)


def test_predict_and_bundles_take_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    training = {"mean": [78.1], "std": [96.3], "class_names": list("abcdefghij")}
    network = randomize(build("lego_digits"))
    checkpoint, picture = tmp_path / "d.pt", tmp_path / "p.png"
    write_checkpoint(checkpoint, network, arch="lego_digits", hyperparameters={}, training=training)
    grey = np.random.default_rng(0).integers(0, 256, (9, 9)).astype(np.uint8)
    Image.fromarray(grey).save(picture)
    found = []
    for output in ("scores", "top-3"):
        path = tmp_path / f"{output}.onnx"
        assert legoexport("convert", checkpoint, "--out", path, "--output", output) == 0
        capsys.readouterr()
        assert legoexport("predict", path, picture, "--top", "4", "--json") == 0
        (one,) = json.loads(capsys.readouterr().out)["pictures"]
        found.append(one["classes"])
    assert [len(one) for one in found] == [4, 3]
    for expected, actual in zip(*found, strict=False):
        assert (actual["index"], actual["name"]) == (expected["index"], expected["name"])
        assert actual["probability"] == pytest.approx(expected["probability"], abs=TOLERANCE)
    top, bundle = tmp_path / "top-3.onnx", tmp_path / "bundle"
    assert legoexport("verify", checkpoint, top, "--save-bundle", bundle) == 0
    assert legoexport("verify", "--bundle", bundle, top) == 0
    packed = tmp_path / "top.ort"
    assert legoexport("convert", checkpoint, "--out", packed, "--output", "top-3") == 0


def test_a_class_that_there_is_not_stops_predict(file: bytes, tmp_path: Path) -> None:
    model = onnx.load_from_string(file)
    entry = next(one for one in model.metadata_props if one.key == "legoexport.classes_count")
    entry.value = "1"
    onnx.save(model, tmp_path / "m.onnx")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "p.png")
    how = Normalization((0.5,) * 3, (0.5,) * 3)
    with pytest.raises(CheckFailed, match="classes that there are not"):
        list(predict(open_classifier(tmp_path / "m.onnx"), [tmp_path / "p.png"], how, (), 3))

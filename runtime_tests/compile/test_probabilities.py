"""``--output probabilities``: the softmax is in the file and proved, alone or from pixels on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import compile_network
from legoexport.compile.stages import CompileOptions, Stage
from legoexport.deliver.convert import convert_module
from legoexport.errors import UsageError
from legoexport.lego.file_facts import FileFacts, ImageFacts, read_facts
from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.network_ends import with_ends
from legoexport.models.registry import build
from legoexport.ort.session import InputSpec
from legoexport.parity.blame import network_check
from legoexport.parity.inputs import draw_inputs
from legoexport.parity.reference import ReferenceNetwork
from legoexport.parity.verify import verify
from runtime_tests.command_line import legoexport
from runtime_tests.networks import small_net

SIZE = (12, 10)
HOW = Normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
NETWORK = small_net().eval()
EXAMPLE = torch.zeros(1, 3, *SIZE)
# Scores of float32 sums, through a softmax whose slope is at most 1/4.
TOLERANCE = 1e-5


def test_it_gives_the_softmax_of_the_scores_and_is_proved() -> None:
    file = convert_module(NETWORK, EXAMPLE, CompileOptions(output="probabilities")).model_bytes
    images = np.random.default_rng(0).standard_normal((4, 3, *SIZE)).astype(np.float32)
    session = onnxruntime.InferenceSession(file)
    assert [one.name for one in session.get_outputs()] == ["probabilities"]
    (found,) = session.run(None, {"input": images})
    with torch.no_grad():
        scores = small_net().eval().double()(torch.from_numpy(images).double()).numpy()
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert np.abs(found - powers / powers.sum(axis=1, keepdims=True)).max() < TOLERANCE
    assert read_facts(onnx.load_from_string(file)).output == "probabilities"
    found_well = verify(NETWORK, file)
    assert found_well.passed
    assert found_well.exact.to_json()["equal"] is True


def test_each_stage_before_the_ends_is_judged_by_what_it_takes_and_gives() -> None:
    options = CompileOptions(output="probabilities", pixels=HOW)
    stages: list[Stage] = []
    compile_network(freeze(NETWORK, EXAMPLE), (EXAMPLE,), options, stages.append)
    spec = InputSpec("image", "uint8", (*SIZE, 3))
    inputs = draw_inputs((spec,), None, {})[0]
    reference = ReferenceNetwork(with_ends(NETWORK, HOW, "probabilities")).run(*inputs.arrays)
    image = ImageFacts("NHWC", "uint8", *SIZE, 3, "RGB").to_json()
    facts = FileFacts({"image": image, "normalization": HOW.to_json(), "output": "probabilities"})
    is_right = network_check(inputs, reference, 1.0, facts)
    assert [stage.name for stage in stages if not is_right(stage.model)] == []
    assert {"take_pixels", "give_probabilities"} <= {stage.name for stage in stages}
    other = ReferenceNetwork(with_ends(NETWORK, HOW, "scores")).run(*inputs.arrays)
    assert not network_check(inputs, other, 1.0, facts)(stages[0].model)


def test_only_scores_become_probabilities() -> None:
    maps = nn.Sequential(*list(NETWORK.children())[:3])
    with pytest.raises(UsageError, match="one score for each class"):
        convert_module(maps, EXAMPLE, CompileOptions(output="probabilities"))


def test_predict_takes_probabilities_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_checkpoint(
        tmp_path / "d.pt",
        build("lego_digits"),
        arch="lego_digits",
        hyperparameters={},
        training={"mean": [78.1], "std": [96.3]},
    )
    grey = np.random.default_rng(0).integers(0, 256, (9, 9)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "p.png")
    found = []
    for output, source in (("scores", "tensor"), ("probabilities", "image")):
        path = tmp_path / f"{output}.onnx"
        ends = ("--output", output, "--input", source)
        assert legoexport("convert", tmp_path / "d.pt", "--out", path, *ends) == 0
        capsys.readouterr()
        assert legoexport("predict", path, tmp_path / "p.png", "--top", "10", "--json") == 0
        (one,) = json.loads(capsys.readouterr().out)["pictures"]
        found.append({guess["index"]: guess["probability"] for guess in one["classes"]})
    assert found[0] == pytest.approx(found[1], abs=TOLERANCE)

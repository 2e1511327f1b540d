"""``legoexport verify`` from the command line: what it prints and how it exits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from legoexport.cli import main
from legoexport.deliver.convert import convert_module
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from runtime_tests.parity.picture_files import write_labelled, write_plain, zipped

ARCH = "lego_digits"
RECIPE = {"o": 4, "m_ratio": 0.25}


@dataclass(frozen=True)
class Files:
    """A checkpoint and what it converts to."""

    checkpoint: Path
    model: Path

    @property
    def names(self) -> list[str]:
        return [str(self.checkpoint), str(self.model)]


def write_network(path: Path, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = build(ARCH, **RECIPE)
    net.train()
    with torch.no_grad():
        net(torch.randn(32, 1, 8, 8))
    write_checkpoint(path, net, arch=ARCH, hyperparameters=RECIPE)
    return net.eval()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("verify")
    found = Files(folder / "c.pt", folder / "m.onnx")
    net = write_network(found.checkpoint, seed=0)
    sha256 = read_checkpoint(found.checkpoint).sha256
    conversion = convert_module(net, torch.zeros(1, 1, 8, 8), checkpoint_sha256=sha256)
    found.model.write_bytes(conversion.model_bytes)
    return found


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["verify", *arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_good_file(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*files.names) == 0
    text = capsys.readouterr().out
    assert "parity reached over 24 images" in text
    assert "4 of 4 Lego layers within tolerance" in text
    assert "features.3 " not in text.partition("4 of 4")[0]
    assert "note" not in text
    assert exit_code(*files.names, "--per-layer", "--threads", "2") == 0
    assert "features.3 " in capsys.readouterr().out


def test_json(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*files.names, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["passed"] is True
    assert content["agreement"]["relative_error"] < 1e-5
    assert content["layers"][0]["layer"] == "features.3"


def test_one_wrong_index_names_the_layer(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(files.model)
    index = next(t for t in model.graph.initializer if t.name == "features.10/merge/index")
    array = numpy_helper.to_array(index).copy()
    array[0] = next(other for other in array[4::4] if other != array[0])
    index.CopyFrom(numpy_helper.from_array(array, index.name))
    onnx.save(model, tmp_path / "wrong.onnx")
    assert exit_code(str(files.checkpoint), str(tmp_path / "wrong.onnx")) == 1
    printed = capsys.readouterr()
    assert "FAILED" in printed.out
    assert "first layer out of tolerance: features.10 (lowering grouped)" in printed.err
    assert "worst output channel 0" in printed.err
    assert "changed after conversion" in printed.err


def test_another_checkpoint_of_the_same_architecture(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_network(tmp_path / "other.pt", seed=1)
    assert exit_code(str(tmp_path / "other.pt"), str(files.model)) == 1
    assert "another checkpoint" in capsys.readouterr().err


def test_real_images_with_labels(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.random.default_rng(0).random((50, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        labels = read_checkpoint(files.checkpoint).module(torch.from_numpy(images)).argmax(1)
    labels[:10] += 1
    np.savez(tmp_path / "real.npz", images=images, labels=labels.numpy())
    assert exit_code(*files.names, "--data", str(tmp_path / "real.npz")) == 0
    assert "50 images: PyTorch 40, ONNX Runtime 40 correct" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_pictures_with_a_normalization_stated(
    files: Files, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_labelled(tmp_path / "in")
    path = zipped(path, tmp_path / "in.zip") if form == "zip" else path
    source = (*files.names, "--data", str(path))
    assert exit_code(*source) == 2
    assert "--mean and --std" in capsys.readouterr().err
    assert exit_code(*source, "--mean", "0.5") == 2
    capsys.readouterr()
    assert exit_code(*source, "--mean", "0.5", "--std", "0.25", "--json") == 0
    assert f"test pictures of {path.name}" in json.loads(capsys.readouterr().out)["sets"]


def test_pictures_are_normalised_as_the_checkpoint_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = write_network(tmp_path / "c.pt", seed=0)
    facts = {"mean": [127.5], "std": [51.0]}
    write_checkpoint(tmp_path / "c.pt", net, arch=ARCH, hyperparameters=RECIPE, training=facts)
    loaded = read_checkpoint(tmp_path / "c.pt")
    conversion = convert_module(
        loaded.module,
        torch.zeros(1, 1, 8, 8),
        checkpoint_sha256=loaded.sha256,
        normalization=loaded.normalization,
    )
    conversion.save(tmp_path / "m.onnx")
    files = Files(tmp_path / "c.pt", tmp_path / "m.onnx")
    source = (*files.names, "--data", str(write_plain(tmp_path / "in", 3)))
    assert exit_code(*source) == 0
    assert "pictures of in" in capsys.readouterr().out
    # What is stated for the pictures is no claim about what the file records.
    assert exit_code(*source, "--mean", "0.1", "--std", "0.2") == 0
    assert "equal to the bit" in capsys.readouterr().out


def test_digits_by_name(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*files.names, "--data", "digits") == 0
    text = capsys.readouterr().out
    assert "test images of digits" in text
    assert "360 images: PyTorch" in text


def test_bundles(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = str(tmp_path / "bundle")
    assert exit_code(*files.names, "--save-bundle", bundle) == 0
    assert exit_code("--bundle", bundle, str(files.model)) == 0
    assert "parity reached" in capsys.readouterr().out
    assert exit_code("--bundle", bundle, str(files.model), "--json") == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True
    assert exit_code(*files.names, "--save-bundle", bundle) == 2
    assert exit_code("--bundle", bundle, *files.names) == 2
    assert exit_code("--bundle", bundle, str(files.model), "--per-layer") == 2
    assert exit_code("--bundle", str(tmp_path), str(files.model)) == 2


def test_a_plain_export(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(files.model)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "plain.onnx")
    assert exit_code(str(files.checkpoint), str(tmp_path / "plain.onnx")) == 0
    assert "layers cannot be walked" in capsys.readouterr().out


def test_usage_errors(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, model = files.names
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"\x08\x08nothing")
    assert exit_code(checkpoint) == 2
    assert exit_code(checkpoint, str(tmp_path / "missing.onnx")) == 2
    assert exit_code(str(tmp_path / "missing.pt"), model) == 2
    assert exit_code(checkpoint, str(junk)) == 2
    assert exit_code(checkpoint, model, "--data", str(junk)) == 2
    capsys.readouterr()
    assert exit_code(checkpoint, model, "--input-size", "16", "16") == 2
    text = capsys.readouterr().err
    assert "(1, 8, 8)" in text
    assert "(1, 16, 16)" in text
    assert exit_code(checkpoint, model, "--threads", "0") == 2

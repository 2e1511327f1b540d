"""What a checkpoint knows of its pictures and classes reaches the file, the page and the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch

from legoexport.compile.stamp import read_stamp, stamp
from legoexport.deliver.convert import convert_module
from legoexport.lego.file_facts import ImageFacts, read_facts
from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from legoexport.web import site
from legoexport.web.packages import RUNTIME_FILES
from legoexport.web.site import SiteOptions, build_site
from runtime_tests.command_line import legoexport
from runtime_tests.networks import randomize

NAMES = tuple(f"n\u00famero {digit}" for digit in range(10))
TRAINING = {"mean": [127.5], "std": [51.0], "class_names": list(NAMES)}


def write(path: Path, training: dict[str, object]) -> Path:
    torch.manual_seed(0)
    module = randomize(build("lego_digits"))
    write_checkpoint(path, module, arch="lego_digits", hyperparameters={}, training=training)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("facts")
    checkpoint = write(folder / "digits.pt", TRAINING)
    assert legoexport("convert", checkpoint, "--out", folder / "digits.onnx") == 0
    return folder


def test_the_file_tells_how_to_prepare_a_picture_and_what_the_scores_are(folder: Path) -> None:
    facts = read_facts(onnx.load(folder / "digits.onnx"))
    assert facts.image == ImageFacts("NCHW", "float32", 8, 8, 1, "grey")
    assert facts.normalization == Normalization((0.5,), (0.2,))
    assert facts.class_names == NAMES
    assert (facts.precision, facts.store) == ("fp32", "fp32")


def test_verify_rebuilds_it_to_the_bit_and_the_bundle_tells_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = (folder / "digits.pt", folder / "digits.onnx")
    assert legoexport("verify", *files, "--save-bundle", folder / "bundle") == 0
    assert "equal to the bit" in capsys.readouterr().out
    told = json.loads((folder / "bundle" / "bundle.json").read_text())["facts"]
    assert told == json.loads(json.dumps(read_facts(onnx.load(files[1])).to_json()))
    assert legoexport("verify", "--bundle", folder / "bundle", files[1]) == 0


@pytest.mark.parametrize("key", ["image", "class_names", "normalization", "precision"])
def test_a_changed_fact_fails_the_check_and_is_named(
    folder: Path, tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    others = {
        "image": ImageFacts("NCHW", "float32", 8, 8, 1, "unknown").to_json(),
        "class_names": json.dumps([*NAMES[1:], NAMES[0]]),
        "normalization": Normalization((0.5,), (0.25,)).to_json(),
        "precision": "fp23",
    }
    model = onnx.load(folder / "digits.onnx")
    entry = next(one for one in model.metadata_props if one.key == f"legoexport.{key}")
    entry.value = others[key]
    onnx.save(model, tmp_path / "changed.onnx")
    assert legoexport("verify", folder / "digits.pt", tmp_path / "changed.onnx") > 0
    assert f"legoexport.{key}" in capsys.readouterr().err


def test_mean_and_std_of_the_command_line_reach_a_file_that_lacks_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, path = write(tmp_path / "silent.pt", {}), tmp_path / "stated.onnx"
    assert legoexport("convert", checkpoint, "--out", path, "--mean", "0.5", "--std", "0.25") == 0
    facts = read_facts(onnx.load(path))
    assert facts.normalization == Normalization((0.5,), (0.25,))
    assert facts.image == ImageFacts("NCHW", "float32", 8, 8, 1, "grey")
    assert legoexport("verify", checkpoint, path) == 0
    assert "equal to the bit" in capsys.readouterr().out


def test_a_page_takes_names_and_normalization_from_the_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in RUNTIME_FILES:
        (tmp_path / name).write_text("")
    monkeypatch.setattr(site, "runtime_folder", lambda: tmp_path)
    built = build_site(tmp_path / "site", SiteOptions(folder / "digits.onnx"))
    assert built.labels == NAMES
    assert (built.pixels.source, built.pixels.normalization.std) == ("file", (0.2,))
    assert json.loads((tmp_path / "site" / "site.json").read_text())["labels"] == list(NAMES)


@pytest.mark.parametrize("names", [(), NAMES[:9], (*NAMES, "eleven")])
def test_names_that_do_not_fit_the_scores_are_left_out(names: tuple[str, ...]) -> None:
    module = randomize(build("lego_digits"))
    conversion = convert_module(module, torch.zeros(1, 1, 8, 8), class_names=names)
    facts = read_facts(onnx.load_from_string(conversion.model_bytes))
    assert facts.class_names == ()
    assert "class_names" not in facts.entries


def test_a_thousand_long_names_fit_into_a_small_file() -> None:
    names = tuple(f"{number:0>100}" for number in range(1000))
    network = torch.nn.Sequential(
        build("lego_digits"), torch.nn.Linear(10, 1000, bias=False), torch.nn.ReLU()
    )
    conversion = convert_module(network, torch.zeros(1, 1, 8, 8), class_names=names)
    assert read_facts(onnx.load_from_string(conversion.model_bytes)).class_names == names


def test_how_training_normalised_its_pictures_reaches_the_file(tmp_path: Path) -> None:
    module = randomize(build("lego_digits"))
    hyperparameters: dict[str, object] = {}
    path = tmp_path / "trained.pt"
    for training, known in (
        ({"mean": [127.5], "std": [51.0]}, Normalization((0.5,), (0.2,))),
        ({"mean": [0.0], "std": [1.0]}, None),  # normalised by nobody knows what
        ({"mean": "grey", "std": [1.0]}, None),
        ({}, None),
    ):
        write_checkpoint(
            path, module, arch="lego_digits", hyperparameters=hyperparameters, training=training
        )
        assert read_checkpoint(path).normalization == known
    compiled = convert_module(module, torch.zeros(1, 1, 8, 8)).compiled
    silent, telling = (
        stamp(compiled, checkpoint_sha256=None, target="cpu", relative_error=0, normalization=known)
        for known in (None, Normalization((0.5,), (0.2,)))
    )
    assert "normalization" not in read_stamp(silent)
    assert read_facts(telling).normalization == Normalization((0.5,), (0.2,))
    colours = [read_facts(one).image for one in (silent, telling)]
    assert colours == [
        ImageFacts("NCHW", "float32", 8, 8, 1, "unknown"),
        ImageFacts("NCHW", "float32", 8, 8, 1, "grey"),
    ]

"""legoexport fit, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from legoexport.cli import main
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.registry import build


@pytest.fixture
def fit(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command and return its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[object, str, str]:
        code: object = 0
        try:
            main(["fit", *map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
        return code or 0, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("dense") / "dense.pt"
    write_checkpoint(path, build("digits"), arch="digits", hyperparameters={})
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "pictures.npz"
    images = np.random.default_rng(0).standard_normal((40, 1, 8, 8)).astype(np.float32)
    labels = np.arange(40) % 10
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    return path


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command is typed."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_checkpoint_is_a_legonet_that_convert_reads(
    fit: Any, dense: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lego.pt"
    settings = ("--o", 4, "--m-ratio", 0.125, "--no-coefficients", "--restarts", 1)
    code, text, err = fit("--from", dense, "--out", out, *settings)
    assert (code, err) == (0, "")
    assert "5 batch norms still have the statistics of the dense network" in text
    layers = [line.split() for line in text.splitlines() if line.startswith("features.")]
    assert [line[:4] for line in layers] == [
        ["features.3", "512", "16", "0"],
        ["features.6", "512", "16", "0"],
        ["features.10", "1024", "32", "0"],
        ["features.13", "1024", "32", "0"],
    ]
    checkpoint = read_checkpoint(out)
    layer = checkpoint.module.get_submodule("features.3")
    assert isinstance(layer, LegoConv2d)
    assert (layer.o, layer.m, layer.coefficients) == (4, 16, None)


def test_json_has_every_digit_and_the_accuracy(
    fit: Any, dense: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lego.pt"
    code, text, _ = fit(
        *("--from", dense, "--out", out, "--restarts", 1, "--m-ratio", 0.125),
        *("--data", pictures, "--steps", 1, "--json"),
    )
    assert code == 0
    report = json.loads(text)
    assert [each["layer"] for each in report["outputs"]] == [
        each["layer"] for each in report["layers"]
    ]
    for each in report["outputs"]:
        assert 0 < each["fitted_error_ratio"] < each["clustered_error_ratio"]
    checkpoint, twin = read_checkpoint(out), read_checkpoint(dense, dense=True)
    assert report["is_calibrated"]
    assert report["pictures_count"] == 40
    assert report["correct"]["images_count"] == 40
    assert report["arch"] == checkpoint.arch == "lego_digits"
    for each in report["layers"]:
        layer = checkpoint.module.get_submodule(each["layer"])
        weight = twin.module.state_dict()[f"{each['layer']}.weight"]
        assert isinstance(layer, LegoConv2d)
        error = (layer.weight().detach() - weight).norm() / weight.norm()
        assert each["relative_error_ratio"] == pytest.approx(error.item(), rel=1e-4)


def test_batch_norm_is_calibrated_on_as_many_pictures_as_are_asked_for(
    fit: Any, dense: Path, pictures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lego.pt"
    weights = ("--fit", "weights", "--restarts", 1, "--m-ratio", 0.125)
    code, text, _ = fit(
        *("--from", dense, "--out", out, *weights, "--data", pictures, "--pictures", 7, "--json")
    )
    assert (code, json.loads(text)["pictures_count"]) == (0, 7)
    module = read_checkpoint(out).module.eval()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))[:7]
    images = torch.from_numpy(np.load(pictures)["train_images"])[order]
    convolution, norm = (module.get_submodule(f"features.{index}") for index in (0, 1))
    assert isinstance(norm, torch.nn.BatchNorm2d)
    with torch.no_grad():
        maps = convolution(images)
    # float32 sums in another order.
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, maps.var((0, 2, 3)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--o", 3], "o must divide"),
        (["--m-ratio", 0], "m_ratio"),
        (["--restarts", 0], "--restarts"),
        (["--data", "gone.npz"], "gone.npz"),
        (["--fit", "outputs"], "--data"),
        (["--fit", "scores"], "outputs"),
        (["--steps", -1], "--steps"),
        (["--pictures", 5], "give --data"),
        (["--pictures", 1, "--data", "digits"], "--pictures"),
        (["--pictures", 1438, "--data", "digits"], "2 to 1437"),
        (["--device", "nowhere"], "nowhere"),
        (["--arch", "vgg16"], "lacks weights"),
        (["--arch", "lego_digits"], "Lego layers already"),
        (["--out", "nowhere/lego.pt"], "nowhere"),
    ],
    ids=str,
)
def test_a_mistake_is_explained_and_nothing_is_written(
    fit: Any, dense: Path, arguments: list[object], message: str, empty_folder: Path
) -> None:
    code, out, err = fit("--from", dense, "--out", "lego.pt", *arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert list(empty_folder.iterdir()) == []

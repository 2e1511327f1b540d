"""A page of a file that takes pixels: bytes in its bundle and of pictures, and the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from legoexport.errors import UsageError
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.parity.bundle import read_bundle
from legoexport.web.site import SiteOptions, build_site
from runtime_tests.command_line import legoexport
from runtime_tests.networks import randomize
from runtime_tests.web.browser import Browser
from runtime_tests.web.drawings import write_bmp
from runtime_tests.web.served import CHECKED, change_golden, serving

ANSWERED = "document.querySelector('#answer[aria-busy=false] #answer-line:not([hidden])')"
# Probabilities in float32, of two builds of ONNX Runtime.
TOLERANCE = 1e-5
BARS = "return [...document.querySelectorAll('#bars li')].map((e) => {})"
# What each gives, and how it computes.
FILES = {
    "fp32": ("probabilities",),
    "int8": ("top-3", "--precision", "int8"),
    "top": ("top-3",),
}


def grey(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (8, 8)).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, its files that take pixels, and their bundles."""
    folder = tmp_path_factory.mktemp("pixels_page")
    (folder / "pictures").mkdir()
    for seed in range(8):
        Image.fromarray(grey(seed)).save(folder / "pictures" / f"{seed}.png")
    torch.manual_seed(0)
    training = {"mean": [78.1], "std": [96.3]}
    network = randomize(build("lego_digits"))
    write_checkpoint(
        folder / "d.pt", network, arch="lego_digits", hyperparameters={}, training=training
    )
    data = ("--data", folder / "pictures")
    for name, (output, *precision) in FILES.items():
        path = folder / f"{name}.onnx"
        ends = ("--input", "image", "--output", output, "--target", "web", *precision)
        calibrates = data if precision else ()
        assert legoexport("convert", folder / "d.pt", "--out", path, *ends, *calibrates) == 0
        bundle = ("--save-bundle", folder / name)
        assert legoexport("verify", folder / "d.pt", path, *data, *bundle) == 0
    return folder


@pytest.mark.usefixtures("runtime")
def test_the_page_gets_the_bytes_of_the_bundle(files: Path, tmp_path: Path) -> None:
    model = files / "fp32.onnx"
    build_site(tmp_path / "site", SiteOptions(model, files / "fp32"))
    described = json.loads((tmp_path / "site" / "site.json").read_text())
    assert described["model"]["takes_pixels"] is True
    assert described["model"]["gives_probabilities"] is True
    assert described["model"]["input_shape"] == [1, 8, 8]
    content = (tmp_path / "site" / "parity.bin").read_bytes()
    sets = read_bundle(files / "fp32", model.read_bytes())
    for expected, one in zip(sets, described["parity"]["sets"], strict=True):
        place, outputs = one["images"], one["outputs"]
        found = np.frombuffer(content, "u1", expected.images.size, place["offset_bytes"])
        assert np.array_equal(found, expected.images.ravel())
        golden = expected.outputs[0].values
        found = np.frombuffer(content, "<f4", golden.size, outputs["offset_bytes"])
        assert np.array_equal(found, golden.ravel())
    with pytest.raises(UsageError, match="normalises them itself"):
        build_site(tmp_path / "other", SiteOptions(model, mean="0.5", std="0.5"))


@pytest.mark.runtimes
@pytest.mark.parametrize("name", FILES)
def test_pictures_get_the_probabilities_of_python(
    phone: Browser, files: Path, tmp_path: Path, name: str
) -> None:
    model = files / f"{name}.onnx"
    build_site(tmp_path / "site", SiteOptions(model, files / name))
    session = onnxruntime.InferenceSession(model.read_bytes())
    with serving(tmp_path / "site") as address:
        phone.open(address)
        phone.wait(CHECKED)
        assert "Parity reached" in phone.text("#verdict")
        image = grey(11)
        picture = write_bmp(tmp_path / "p.bmp", np.repeat(image[..., None], 3, 2))
        phone.pick_file("#file", picture)
        phone.wait(ANSWERED)
        expected, *indices = session.run(None, {"image": image[None, :, :, None]})
        shown = [float(title.split()[1]) for title in phone.run(BARS.format("e.title"))]
        assert len(shown) == (3 if indices else 5)
        if indices:
            assert "; classes 96/96." in phone.text("#verdict")
        if name == "int8":  # it may overflow on the processor of this machine, but not there
            assert "what its integers give" in phone.text("#parity-text")
        else:
            assert shown == pytest.approx(sorted(expected[0])[::-1][: len(shown)], abs=TOLERANCE)
            order = indices[0][0] if indices else (-expected[0]).argsort()[:5]
            names = phone.run(BARS.format("e.querySelector('.name').textContent"))
            assert names == [f"class {index}" for index in order]
        assert phone.console() == []


@pytest.mark.runtimes
def test_a_wrong_class_is_red(phone: Browser, files: Path, tmp_path: Path) -> None:
    """The second class of the first image is another one, and no tie explains what is given."""

    def take_another(indices: NDArray[np.int32]) -> None:
        indices[1] = next(one for one in range(10) if one not in indices[:3])

    def score_nothing(among: NDArray[np.float32]) -> None:
        among[:10] = 0

    site = tmp_path / "site"
    build_site(site, SiteOptions(files / "top.onnx", files / "top"))
    change_golden(site, take_another, sign=True, part="indices")
    change_golden(site, take_another, sign=True, part="float32_indices")
    change_golden(site, score_nothing, sign=True, part="among")
    with serving(site) as address:
        phone.open(address)
        phone.wait(CHECKED)
        assert "WRONG NUMBERS" in phone.text("#verdict")
        assert "classes wrong" in phone.text("#verdict")

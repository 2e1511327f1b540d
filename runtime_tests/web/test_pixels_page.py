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
from runtime_tests.web.served import CHECKED, serving

ANSWERED = "document.querySelector('#answer[aria-busy=false] #answer-line:not([hidden])')"
# Probabilities in float32, of two builds of ONNX Runtime.
TOLERANCE = 1e-5


def grey(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (8, 8)).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, its files in float and in int8 that take pixels, and their bundles."""
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
    ends = ("--input", "image", "--output", "probabilities", "--target", "web")
    data = ("--data", folder / "pictures")
    for name in ("fp32", "int8"):
        path = folder / f"{name}.onnx"
        precision = ("--precision", "int8", *data) if name == "int8" else ()
        assert legoexport("convert", folder / "d.pt", "--out", path, *ends, *precision) == 0
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
@pytest.mark.parametrize("name", ["fp32", "int8"])
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
        (expected,) = session.run(None, {"image": image[None, :, :, None]})
        titles = phone.run(
            "return JSON.stringify([...document.querySelectorAll('#bars li')].map((e) => e.title))"
        )
        shown = [float(title.split()[1]) for title in json.loads(titles)]
        if name == "fp32":  # int8 may overflow on the processor of this machine, but not there
            assert shown == pytest.approx(sorted(expected[0])[::-1][: len(shown)], abs=TOLERANCE)
        assert len(shown) == 5
        assert phone.console() == []

"""A page of a file that takes pixels: bytes in its bundle and of pictures, and the same answers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from legoexport.errors import UsageError
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.parity.bundle import read_bundle
from legoexport.parity.integer.replay import open_to_replay
from legoexport.web.site import SiteOptions, build_site
from runtime_tests.command_line import legoexport
from runtime_tests.networks import randomize
from runtime_tests.web.browser import Browser
from runtime_tests.web.drawings import write_bmp
from runtime_tests.web.served import CHECKED, replace, serving

ANSWERED = "document.querySelector('#answer[aria-busy=false] #answer-line:not([hidden])')"
# Probabilities in float32, of two builds of ONNX Runtime.
TOLERANCE = 1e-5
BARS = "return [...document.querySelectorAll('#bars li')].map((e) => {})"
# What each gives, and how it computes.
FILES = {
    "fp32": ("probabilities",),
    "top": ("top-3",),
    "int8": ("top-3", "--precision", "int8"),
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
    narrow = {"width": 0.25}
    network = randomize(build("lego_digits", **narrow))
    write_checkpoint(
        folder / "d.pt", network, arch="lego_digits", hyperparameters=narrow, training=training
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
        assert one["ranking"] is None
    with pytest.raises(UsageError, match="normalises them itself"):
        build_site(tmp_path / "other", SiteOptions(model, mean="0.5", std="0.5"))


@pytest.mark.runtimes
@pytest.mark.parametrize("name", FILES)
def test_pictures_get_the_probabilities_of_python(
    phone: Browser, files: Path, tmp_path: Path, name: str
) -> None:
    model = files / f"{name}.onnx"
    build_site(tmp_path / "site", SiteOptions(model, files / name))
    runtime = open_to_replay(model.read_bytes(), 1)  # by kernels that do not overflow
    with serving(tmp_path / "site") as address:
        phone.open(address)
        phone.wait(CHECKED)
        assert "Parity reached" in phone.text("#verdict")
        image = grey(11)
        picture = write_bmp(tmp_path / "p.bmp", np.repeat(image[..., None], 3, 2))
        phone.pick_file("#file", picture)
        phone.wait(ANSWERED)
        expected, *indices = runtime.run_all((image[None, :, :, None],), 1).values()
        shown = [float(title.split()[1]) for title in phone.run(BARS.format("e.title"))]
        assert len(shown) == (3 if indices else 5)
        if indices:
            assert "; classes 96/96" in phone.text("#verdict")
        assert shown == pytest.approx(sorted(expected[0])[::-1][: len(shown)], abs=TOLERANCE)
        order = indices[0][0] if indices else (-expected[0]).argsort()[:5]
        names = phone.run(BARS.format("e.querySelector('.name').textContent"))
        assert names == [f"class {index}" for index in order]
        assert ("what its integers give" in phone.text("#parity-text")) is (name == "int8")
        assert phone.console() == []


@pytest.mark.runtimes
def test_a_wrong_entry_of_a_table_is_red(phone: Browser, files: Path, tmp_path: Path) -> None:
    """Of a file in int8, under the digest that the page expects."""
    site, path = tmp_path / "site", files / "int8.onnx"
    build_site(site, SiteOptions(path, files / "int8"))
    model = onnx.load(path)
    table = next(one for one in model.graph.initializer if one.name.endswith("merge_position"))
    entries = numpy_helper.to_array(table).copy()
    entries.flat[0] = entries[entries != entries.flat[0]][0]
    table.CopyFrom(numpy_helper.from_array(entries, table.name))
    record = json.loads((site / "site.json").read_text())
    record["model"]["sha256"] = hashlib.sha256(model.SerializeToString()).hexdigest()
    replace(site, "model.onnx", model.SerializeToString())
    replace(site, "site.json", json.dumps(record).encode())
    with serving(site) as address:
        phone.open(address)
        phone.wait(CHECKED)
        said = phone.text("#verdict")
        assert "WRONG NUMBERS" in said
        assert "does not compute what the integers of the file give" in said
        assert "more than may be" in said

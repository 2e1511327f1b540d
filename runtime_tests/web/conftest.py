"""A small classifier with its bundle, a site with stand-ins for onnxruntime-web, and a phone."""

from __future__ import annotations

import gzip
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from legoexport.errors import UsageError
from legoexport.ort.session import RuntimeModel
from legoexport.parity.bundle import save_bundle
from legoexport.parity.golden import GoldenOutput, GoldenSet
from legoexport.web import site
from legoexport.web.packages import RUNTIME_FILES, runtime_folder
from legoexport.web.server import LOOPBACK, make_server
from legoexport.web.site import PAGE, SiteOptions, build_site
from runtime_tests.conftest import missing
from runtime_tests.web.browser import Browser, driver, missing_programs, window

CLASSES = 5
LIMIT = 1e-4


def classifier(
    channels: int = 3, batch: int | str = "batch", names: tuple[str, str] = ("image", "scores")
) -> bytes:
    """A 1x1 convolution and a global mean: ``(batch, channels, 4, 6) -> (batch, 5)``."""
    image, scores = names
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((CLASSES, channels, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", [image, "weight"], ["maps"]),
        helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
        helper.make_node("Flatten", ["means"], [scores]),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info(image, kind, [batch, channels, 4, 6])],
        [helper.make_tensor_value_info(scores, kind, [batch, CLASSES])],
        [numpy_helper.from_array(weight, "weight")],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def golden_sets(model_bytes: bytes) -> list[GoldenSet]:
    rng = np.random.default_rng(2)
    sets = []
    for name, count, batch_size in (("seven", 7, 3), ("two", 2, 1)):
        images = rng.standard_normal((count, 3, 4, 6)).astype(np.float32)
        outputs = RuntimeModel(model_bytes, 1).run(images, batch_size)
        output = GoldenOutput("output", outputs, None, LIMIT, LIMIT / 4)
        sets.append(GoldenSet(name, batch_size, (images,), (output,)))
    return sets


def write_stand_ins(folder: Path) -> None:
    """Write each file of onnxruntime-web with its name as contents; those of brotli say so."""
    for name in RUNTIME_FILES:
        original = name.removesuffix(".gz").removesuffix(".br").encode()
        content = gzip.compress(original) if name.endswith(".gz") else original
        (folder / name).write_bytes(content + b" in brotli" * name.endswith(".br"))


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Path of Node.js, in a folder with the scripts, told that they are modules."""
    folder = tmp_path / "page"
    shutil.copytree(PAGE, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    monkeypatch.chdir(folder)
    path = shutil.which("node")
    return path or missing("Node.js is not installed (Debian: apt-get install nodejs)")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(classifier())
    return path


@pytest.fixture
def bundle(tmp_path: Path, model: Path) -> Path:
    save_bundle(tmp_path / "bundle", model.read_bytes(), golden_sets(model.read_bytes()))
    return tmp_path / "bundle"


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for the files of onnxruntime-web, so that npm is not needed."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    write_stand_ins(folder)
    monkeypatch.setattr(site, "runtime_folder", lambda: folder)
    return folder


@pytest.fixture
def built(tmp_path: Path, model: Path, bundle: Path, runtime: Path) -> Path:
    build_site(tmp_path / "site", SiteOptions(model, bundle))
    return tmp_path / "site"


@pytest.fixture
def server(built: Path) -> Iterator[tuple[str, int]]:
    made = make_server(built, LOOPBACK, 0)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield LOOPBACK, made.server_address[1]
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(scope="session")
def driver_address() -> Iterator[str]:
    if problem := missing_programs():
        missing(problem)
    try:
        runtime_folder()
    except UsageError as error:
        missing(error)
    with driver() as found:
        yield found


@pytest.fixture
def phone(driver_address: str) -> Iterator[Browser]:
    with window(driver_address) as opened:
        yield opened

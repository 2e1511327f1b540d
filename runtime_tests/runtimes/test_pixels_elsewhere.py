"""Files that take pixels on other runtimes: bytes go there as they are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization
from legoexport.lego.scales import Precision
from legoexport.measure.options import BenchOptions
from legoexport.measure.run import bench
from legoexport.ort.session import RuntimeModel
from legoexport.parity.single import check_single
from legoexport.parity.verify import verify
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from legoexport.runtimes import Feed, find_runtime
from legoexport.target import TARGETS
from runtime_tests.runtimes.int8_files import BATCH, trained

HOW = Normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)
NORMALISED = HOW.applied(np.moveaxis(PIXELS, 3, 1))


@cache
def converted(target: str, precision: Precision = "fp32", output: str = "scores") -> bytes:
    options = CompileOptions(
        TARGETS[target], dynamic_batch=False, precision=precision, pixels=HOW, output=output
    )
    calibrate = CalibrationOptions(CalibrationImages.of(NORMALISED))
    example = torch.zeros(BATCH, 3, 8, 8)
    return convert_module(trained(), example, options, calibrate=calibrate).model_bytes


def judged(name: str, model_bytes: bytes) -> None:
    found = verify(trained(), model_bytes, data=NORMALISED, elsewhere=[find_runtime(name)])
    assert found.passed, found.diagnosis
    assert "pixels" in found.agreements
    assert all(one.floats_count == 0 for one in found.elsewhere)


def test_this_process_takes_bytes_by_the_protocol_of_the_others() -> None:
    judged("cpu", converted("cpu", output="probabilities"))


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_node")
@pytest.mark.parametrize(("name", "target"), [("wasm", "web"), ("xnnpack", "xnnpack")])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_pixels_are_right_on_the_web(name: str, target: str, precision: Precision) -> None:
    judged(name, converted(target, precision))


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_arm64")
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_pixels_are_right_on_arm64(precision: Precision) -> None:
    judged("arm64:max", converted("arm64", precision))


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_node")
def test_it_is_measured_on_the_web(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(converted("web"))
    options = BenchOptions(threads=1, batch_size=BATCH, duration_s=0.2, runtime="wasm")
    assert "Cast" in {part.op for part in bench(path, options).placement}


def test_the_likeliest_classes_alone_and_other_feeds_are_refused() -> None:
    with pytest.raises(UsageError, match="one output, of float32"):
        check_single(RuntimeModel(converted("cpu", output="top-2"), 1))
    with pytest.raises(UsageError, match="float32 or uint8"):
        Feed(PIXELS.astype(np.int8), 1)

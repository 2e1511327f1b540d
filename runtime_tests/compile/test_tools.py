"""Other people's tools on our files: what docs/engines.md says of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxsim
import pytest
import torch
from onnxruntime.quantization import quantize_dynamic

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.errors import UsageError
from runtime_tests.networks import small_net

EXAMPLE = torch.zeros(1, 3, 12, 10)
DEFAULT_THRESHOLD_BYTES = 1024
X = np.random.default_rng(0).standard_normal((2, 3, 12, 10)).astype(np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tools") / "model.onnx"
    return convert_module(small_net(), EXAMPLE).save(path)


def scores(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: X})[0])


def apart(model: Path, folder: Path, threshold_bytes: int) -> Path:
    """Save tensors from ``threshold_bytes`` on beside the file."""
    path = folder / "apart.onnx"
    onnx.save_model(
        onnx.load(model),
        path,
        save_as_external_data=True,
        location="apart.data",
        size_threshold=threshold_bytes,
    )
    return path


def test_large_tensors_may_lie_beside_the_file(model: Path, tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        scores(apart(model, tmp_path, DEFAULT_THRESHOLD_BYTES)), scores(model)
    )


def test_shapes_may_not(model: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="Cannot parse data from external tensors"):
        scores(apart(model, tmp_path, 0))


def test_dynamic_quantization_wants_plain_weights(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="to be an initializer"):
        quantize_dynamic(model, tmp_path / "quantized.onnx")


def test_simplifiers_fold_the_banks(model: Path) -> None:
    folded, is_right = onnxsim.simplify(onnx.load(model))
    assert is_right
    assert folded.ByteSize() > 1.2 * model.stat().st_size


def test_opset_13_is_refused_with_what_is_legal() -> None:
    with pytest.raises(UsageError, match=r"15\.\."):
        convert_module(small_net(), EXAMPLE, CompileOptions(opset=13))

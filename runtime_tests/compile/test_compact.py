"""A file that a simplifier folded gets its banks back, and nothing else changes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxsim
import pytest
import torch
from click.testing import CliRunner

from legoexport.cli import group
from legoexport.compile.stages import CompileOptions
from legoexport.deliver.compact import compact
from legoexport.deliver.convert import convert_module
from legoexport.errors import CheckFailed, UsageError
from legoexport.ort.constant_values import constant_values
from legoexport.parity.verify import verify
from legoexport.passes.unfold_banks import UnfoldBanks
from runtime_tests.networks import SmallNet, randomize

EXAMPLE = torch.zeros(1, 3, 8, 8)


def trained(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return randomize(SmallNet(), seed)


@cache
def converted(seed: int = 0, opset: int | None = None) -> bytes:
    options = CompileOptions() if opset is None else CompileOptions(opset=opset)
    return convert_module(trained(seed), EXAMPLE, options).model_bytes


@cache
def folded() -> bytes:
    """What onnxsim makes of it: weights that were computed at load are stored."""
    simplified, passed = onnxsim.simplify(onnx.load_model_from_string(converted()))
    assert passed
    return simplified.SerializeToString()


def ops(model_bytes: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_model_from_string(model_bytes).graph.node]


def stored_bytes(model_bytes: bytes) -> int:
    tensors = onnx.load_model_from_string(model_bytes).graph.initializer
    return sum(onnx.numpy_helper.to_array(one).nbytes for one in tensors)


def test_banks_are_stored_once_again_and_the_file_verifies() -> None:
    made = compact(folded(), converted())
    assert ops(folded()).count("Gather") < ops(converted()).count("Gather")
    assert ops(made.model_bytes) == ops(converted())
    assert stored_bytes(made.model_bytes) == stored_bytes(converted()) < stored_bytes(folded())
    found = verify(trained(), made.model_bytes)
    assert found.passed
    assert found.exact.reason is None
    assert found.exact.differences == ()


def test_every_weight_is_what_numpy_gathers() -> None:
    """Each weight equals the stored one, by an evaluator that is not ONNX Runtime."""
    made = compact(folded(), converted())
    small = onnx.load_model_from_string(made.model_bytes)
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in small.graph.initializer}
    before = onnx.load_model_from_string(folded()).graph.initializer
    weights = {one.name: onnx.numpy_helper.to_array(one) for one in before}
    assert made.unfolded
    for name in made.unfolded:
        assert name not in stored
        cut = onnx.utils.Extractor(small).extract_model([], [name])
        (value,) = onnx.reference.ReferenceEvaluator(cut).run(None, {})
        np.testing.assert_array_equal(value, weights[name])


def test_a_second_time_there_is_nothing_to_do() -> None:
    small = compact(folded(), converted()).model_bytes
    with pytest.raises(CheckFailed, match="nothing of the file is folded"):
        compact(small, converted())
    source = onnx.load_model_from_string(converted())
    unfold = UnfoldBanks(ir.from_proto(source), constant_values(source))
    assert not unfold(ir.from_proto(onnx.load_model_from_string(small))).modified


def test_one_changed_weight_stays_as_it_is() -> None:
    model = onnx.load_model_from_string(folded())
    changed = compact(folded(), converted()).unfolded[0]
    tensor = next(one for one in model.graph.initializer if one.name == changed)
    array = onnx.numpy_helper.to_array(tensor).copy()
    array.flat[0] = np.nextafter(array.flat[0], np.float32(np.inf))
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, changed))
    made = compact(model.SerializeToString(), converted())
    assert changed not in made.unfolded
    kept = {one.name for one in onnx.load_model_from_string(made.model_bytes).graph.initializer}
    assert changed in kept


def test_of_two_equal_weights_one_is_computed_and_one_stays() -> None:
    source = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 18]> one (float[1,4] x) => (float[1,4] y)
        <float[1,2] bank = {1, 2}>
        { weight = Concat <axis = 1> (bank, bank)  a = Add (x, weight)  y = Mul (a, weight) }"""
    )
    target = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 18]> one (float[1,4] x) => (float[1,4] y)
        <float[1,4] first = {1, 2, 1, 2}, float[1,4] second = {1, 2, 1, 2}>
        { a = Add (x, first)  y = Mul (a, second) }"""
    )
    unfold = UnfoldBanks(ir.from_proto(source), constant_values(source))
    model = ir.from_proto(target)
    assert unfold(model).modified
    assert unfold.unfolded == ["first"]
    assert "second" in model.graph.initializers
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


def test_another_network_is_refused() -> None:
    with pytest.raises(CheckFailed, match="nothing of the file is folded"):
        compact(folded(), converted(seed=1))


def test_another_opset_is_refused() -> None:
    version = onnx.load_model_from_string(folded()).opset_import[0].version
    with pytest.raises(UsageError, match="of different opsets"):
        compact(folded(), converted(opset=version + 1))


def test_the_command_writes_it_and_replaces_no_input(tmp_path: Path) -> None:
    paths = tmp_path / "folded.onnx", tmp_path / "model.onnx"
    for path, content in zip(paths, (folded(), converted()), strict=True):
        path.write_bytes(content)
    words = ["compact", str(paths[0]), "--like", str(paths[1]), "--out"]
    result = CliRunner().invoke(group, [*words, str(tmp_path / "small.onnx")])
    assert result.exit_code == 0, result.output
    assert "equal to the bit" in result.output
    assert (tmp_path / "small.onnx").read_bytes() == compact(folded(), converted()).model_bytes
    for path in paths:
        refused = CliRunner().invoke(group, [*words, str(path)])
        assert isinstance(refused.exception, UsageError)
        assert "would overwrite" in str(refused.exception)
    assert (paths[0].read_bytes(), paths[1].read_bytes()) == (folded(), converted())

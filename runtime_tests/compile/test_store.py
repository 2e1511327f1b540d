"""convert --store: the file holds codes and computes what the rounded network computes."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from onnx import numpy_helper
from torch import Tensor, nn

from legoexport.cli import group
from legoexport.compile.stages import CompileOptions
from legoexport.deliver import invariants
from legoexport.deliver.convert import Conversion, convert_module
from legoexport.deliver.dense_twin import convert_dense_twin
from legoexport.errors import InvariantBroken, UsageError
from legoexport.inspect.inventory_onnx import summarize_model
from legoexport.lego.storage import STORES, Store
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.models.round_weights import round_weights, weights_of
from legoexport.parity.inputs import InputSet
from legoexport.parity.verify import verify
from legoexport.target import TARGETS
from runtime_tests.networks import SmallNet, randomize

SHORT: tuple[Store, ...] = ("fp16", "int8")
EXAMPLE = torch.zeros(1, 3, 8, 8)
# Codes of two bytes or one in the place of four.
CODE_SHARE = {"fp16": 0.5, "int8": 0.25}


def trained() -> nn.Module:
    """The same network each time."""
    torch.manual_seed(0)
    return randomize(SmallNet())


@cache
def converted(store: Store, target: str = "cpu") -> Conversion:
    return convert_module(trained(), EXAMPLE, CompileOptions(TARGETS[target], store=store))


def test_fp32_says_nothing_of_it() -> None:
    conversion = converted("fp32")
    keys = {one.key for one in onnx.load_from_string(conversion.model_bytes).metadata_props}
    assert "legoexport.store" not in keys
    assert conversion.cost is None


@pytest.mark.parametrize("store", SHORT)
def test_the_file_is_proved_and_found_equal(store: Store) -> None:
    conversion = converted(store)
    assert conversion.agreement.passed
    found = verify(trained(), conversion.model_bytes)
    assert found.passed
    assert found.exact.differences == ()
    assert found.exact.reason is None
    assert found.notes[0].startswith(f"the file stores {store}")


@pytest.mark.parametrize("store", SHORT)
def test_banks_and_dense_weights_shrink(store: Store) -> None:
    whole, short = (
        summarize_model(onnx.load_from_string(converted(one).model_bytes))
        for one in (STORES[0], store)
    )
    filters = sum(row.shape.filters_used for row in short.rows)
    expected = whole.stored.bank_bytes * CODE_SHARE[store] + 4 * filters
    assert short.stored.bank_bytes == expected
    assert short.dense_part == whole.dense_part
    assert short.rows == whole.rows


@pytest.mark.parametrize("store", SHORT)
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_every_target_takes_it(store: Store, target: str) -> None:
    assert converted(store, target).agreement.passed


@pytest.mark.parametrize("lowering", ["winograd_rows_4", "fragment_stack", "per_fragment", "dense"])
def test_every_kind_of_lowering_reads_codes(lowering: str) -> None:
    plan = converted("fp32").compiled.plan
    chosen = {
        layer: lowering if layer == "first" else name for layer, name in plan.lowerings.items()
    }
    options = CompileOptions(plan=replace(plan, lowerings=chosen), store="int8")
    conversion = convert_module(trained(), EXAMPLE, options)
    assert conversion.compiled.plan.lowerings["first"] == lowering
    assert conversion.agreement.passed


def test_the_runtime_folds_codes_when_it_loads_the_file(tmp_path: Path) -> None:
    operators = []
    stores: tuple[Store, ...] = ("fp32", "int8")
    for store in stores:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(tmp_path / f"{store}.onnx")
        model = converted(store).model_bytes
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(options.optimized_model_filepath).graph.node
        operators.append(sorted(node.op_type for node in nodes))
    assert operators[0] == operators[1]


def test_rounding_leaves_the_network_as_it_is_and_rounds_once() -> None:
    module = trained()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    rounded = round_weights(module, "int8")
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    again = weights_of(round_weights(rounded, "int8"))
    assert all(torch.equal(value, again[name]) for name, value in weights_of(rounded).items())
    changed = {
        name for name, value in rounded.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {
        "stem.weight",
        "classifier.weight",
        "first.lego",
        "second.lego",
        "third.lego",
    }


def test_the_cost_is_that_of_independent_rounding() -> None:
    module, images = trained(), np.random.default_rng(0).standard_normal((8, 3, 8, 8))
    data = InputSet("given", (images.astype(np.float32),), 1, np.arange(8))
    options = CompileOptions(store="int8")
    cost = convert_module(module, EXAMPLE, options, data=data, dense_twin=True).cost
    assert cost is not None
    entered: list[Tensor] = []
    classifier = module.get_submodule("classifier")
    classifier.register_forward_pre_hook(lambda _, x: entered.append(x[0]))
    with torch.no_grad():
        y = module.double().eval()(torch.from_numpy(images)).numpy()
    weight = module.get_parameter("classifier.weight").detach().numpy()
    step = np.abs(weight).max(axis=1, keepdims=True) / 127
    noise = entered[0].numpy() @ (np.rint(weight / step) * step - weight).T
    found = {one.module: one for one in cost.layers}["classifier"]
    expected = 10 * np.log10(np.square(y).sum() / np.square(noise).sum())
    # Scales are cut to 17 bits, which may move a weight that lies on the edge of a step.
    assert found.sqnr_weights_db == pytest.approx(expected, abs=0.1)
    assert found.sqnr_both_db == pytest.approx(expected, abs=0.1)
    assert {one.computes for one in cost.layers} == {"fp32"}
    assert {one.sqnr_activations_db for one in cost.layers} == {None}
    real = cost.scores[-1]
    assert real.right_count == (y.argmax(axis=1) == np.arange(8)).sum()
    assert [one.file for one in real.files] == ["file in fp32", "this file", "dense twin"]


@pytest.mark.parametrize(
    "tensor", ["first/lego_codes", "stem.weight_scale", "classifier.weight_codes"]
)
def test_one_changed_code_or_scale_is_named(tensor: str) -> None:
    model = onnx.load_from_string(converted("int8").model_bytes)
    names = [one.name for one in model.graph.initializer]
    name = tensor if tensor in names else tensor.replace("/lego", ".tables.lego")
    (stored,) = (one for one in model.graph.initializer if one.name == name)
    array = numpy_helper.to_array(stored).copy()
    array.flat[1] += array.dtype.type(1)
    stored.CopyFrom(numpy_helper.from_array(array, name))
    found = verify(trained(), model.SerializeToString())
    assert not found.passed
    assert any(name in line for line in found.diagnosis)


def test_a_bank_that_stayed_whole_is_an_error() -> None:
    compiled = converted("fp32").compiled
    with pytest.raises(InvariantBroken, match="stored as fp32"):
        invariants.check_banks_stored_once(replace(compiled, store="int8"))


def test_the_dense_twin_is_the_same_function() -> None:
    module = trained()
    options = CompileOptions(store="int8")
    runs = []
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    for model in (converted("int8").model_bytes, convert_dense_twin(module, EXAMPLE, options)):
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        runs.append(session.run(None, {session.get_inputs()[0].name: x})[0])
    # Float32 sums in two orders; rounding the weights moves the scores by a hundred times as much.
    np.testing.assert_allclose(runs[0], runs[1], rtol=0, atol=1e-5)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "digits.pt"
    write_checkpoint(path, build("lego_digits"), arch="lego_digits", hyperparameters={})
    return path


def test_the_command_prints_the_cost_on_real_images(checkpoint: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((5, 1, 8, 8)).astype(np.float32)
    data = tmp_path / "images.npz"
    np.savez(data, images=images, labels=np.arange(5))
    out = tmp_path / "model.onnx"
    words = ["convert", str(checkpoint), "--store", "int8", "--data", str(data), "--out", str(out)]
    result = CliRunner().invoke(group, [*words, "--json"])
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["store"] == "int8"
    (real,) = (one for one in printed["store_cost"]["scores"] if "images.npz" in one["name"])
    assert real["images_count"] == 5
    assert real["right_count"] is not None
    assert [one["file"] for one in real["files"]] == ["file in fp32", "this file"]


def test_the_command_prints_the_cost_on_pictures(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    words = ["convert", str(checkpoint), "--store", "int8", "--data", "digits", "--out", str(out)]
    result = CliRunner().invoke(group, [*words, "--json"])
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)["store_cost"]["scores"]
    (real,) = (one for one in scores if one["name"] == "test images of digits")
    assert real["images_count"] == 360


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--store", "int8", "--out", "m.ort"], "ORT format folds codes"),
        (["--data", "images.npz", "--out", "m.onnx"], "fp32 costs nothing"),
    ],
)
def test_what_cannot_be_is_refused(
    checkpoint: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    words = [str(tmp_path / one) if one.startswith("m.") else one for one in words]
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(group, ["convert", str(checkpoint), *words], catch_exceptions=False)
    assert not list(tmp_path.glob("m.*"))

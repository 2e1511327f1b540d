"""Bundles of files in int8: golden integers, and a limit that a wrong kernel does not keep."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from legoexport.ort.session import RuntimeModel
from legoexport.parity.bundle import read_bundle, replay, save_bundle
from legoexport.parity.golden import GoldenSet, judge_golden
from legoexport.parity.inputs import InputSet
from legoexport.parity.integer import golden_integers
from legoexport.parity.integer.golden_integers import LEAST_STEPS, STEPS
from legoexport.parity.integer.last_step import last_step
from legoexport.parity.integer.one_step import one_step_away
from legoexport.parity.integer.replay import growth_elsewhere, open_to_replay
from legoexport.parity.judge import combine
from legoexport.parity.opened import open_model
from legoexport.parity.verify import verify
from legoexport.runtimes import Feed, find_runtime
from legoexport.runtimes.web.xnnpack import ROUNDING_GROWTH
from runtime_tests.parity.test_bundle import BLOCK_TORCH
from runtime_tests.runtimes.int8_files import BATCH, IMAGES, converted, trained

# Its codes reach 127: x86 without VNNI overflows on them, and XNNPACK takes its integers.
TARGET = "xnnpack"


@cache
def golden() -> tuple[GoldenSet, ...]:
    return verify(trained(), converted(TARGET).model_bytes, data=IMAGES).golden


def test_limits_are_steps_of_the_output() -> None:
    graph = onnx.load_from_string(converted(TARGET).model_bytes).graph
    step = last_step(graph, graph.output[0].name)
    assert step is not None
    for one in golden():
        (output,) = one.outputs
        whole = float(np.ptp(output.values))
        assert output.limit >= min(step, LEAST_STEPS / STEPS * whole) * (1 - 1e-6)
    assert len({one.name for one in golden()}) == 4, "three sets of random images, and ours"


def test_it_replays_without_torch_and_says_its_rule(tmp_path: Path) -> None:
    model, bundle = tmp_path / "m.onnx", tmp_path / "bundle"
    model.write_bytes(converted(TARGET).model_bytes)
    save_bundle(bundle, model.read_bytes(), golden())
    record = json.loads((bundle / "bundle.json").read_text())
    assert record["version"] == 2, "readers of fp32 bundles read these"
    assert "integers give" in record["rule"]
    assert read_bundle(bundle, model.read_bytes())[0].outputs[0].integers == (
        golden()[0].outputs[0].integers
    )
    command = [sys.executable, "-c", BLOCK_TORCH, "verify", "--bundle", str(bundle), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "parity reached" in done.stdout


def tables() -> list[str]:
    """The tensors that say which filters a layer takes, where they go, and how they are added."""
    graph = onnx.load_from_string(converted(TARGET).model_bytes).graph
    known = ("codes_rows", "merge_position", "merge_codes", "places", "/rows_")
    return [one.name for one in graph.initializer if any(part in one.name for part in known)]


@pytest.mark.parametrize("name", tables())
def test_a_wrong_entry_of_a_table_is_caught(name: str) -> None:
    """Even one that moves outputs by less than the limit: too many images are moved."""
    model = onnx.load_from_string(converted(TARGET).model_bytes)
    tensor = next(one for one in model.graph.initializer if one.name == name)
    entries = numpy_helper.to_array(tensor).copy()
    others = entries[entries != entries.flat[0]]
    entries.flat[0] = others[0]
    tensor.CopyFrom(numpy_helper.from_array(entries, name))
    found = combine(replay(golden(), open_to_replay(model.SerializeToString(), 1)))
    assert not found.passed
    assert found.moved_excess_count > 0


@pytest.mark.parametrize("more", [0, 1])
def test_so_many_images_may_be_moved_and_no_more(more: int) -> None:
    outputs = []
    for one in golden():
        (output,) = one.outputs
        assert output.integers is not None
        count = output.integers.moved_allowed_count + more
        values = output.values.copy()
        values[:count] += np.float32(0.5 * output.limit)
        outputs.append((values,))
    judged = judge_golden(golden(), outputs, 1.0).values()
    assert all(one.passed is (more == 0) for one in judged)
    assert combine(judge_golden(golden(), outputs, 1.0)).moved_excess_count == more * len(judged)


@pytest.mark.parametrize(("share", "passed"), [(0.9, True), (1.1, False)])
def test_an_output_beyond_the_limit_fails_on_every_runtime(share: float, passed: bool) -> None:
    model_bytes = converted(TARGET).model_bytes
    growth = growth_elsewhere(model_bytes, ROUNDING_GROWTH)
    assert growth == 1.0, "the order in which integers are summed loses nothing"
    outputs = []
    for one in golden():
        values = one.outputs[0].values.copy()
        best = values[0].argmax()
        values[0, best] += np.float32(share * one.outputs[0].limit)
        outputs.append((values,))
    judged = judge_golden(golden(), outputs, growth)
    assert all(one.passed is passed for one in judged.values())


def one_number_away(step: float) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Golden outputs, and those of images with one number moved, for many numbers in turn."""
    opened = open_model(converted(TARGET).model_bytes, 1)
    floats = RuntimeModel(opened.model_bytes, 1, integer_kernels=False)
    rng, pairs = np.random.default_rng(5), []
    for one in golden():
        moved = np.tile(one.images[:BATCH], (40, 1, 1, 1))
        expected = np.tile(floats.run(one.images[:BATCH], BATCH), (40, 1))
        rows = moved.reshape(len(moved), -1)
        rows[np.arange(len(rows)), rng.integers(rows.shape[1], size=len(rows))] += step
        pairs.append((expected, floats.run(moved, BATCH)))
    return pairs


def test_no_single_integer_of_the_input_goes_beyond_the_limit() -> None:
    model = onnx.load_from_string(converted(TARGET).model_bytes)
    (scale,) = (one for one in model.graph.initializer if one.name == "input_scale")
    least = []
    for one, (expected, found) in zip(
        golden(), one_number_away(float(numpy_helper.to_array(scale))), strict=True
    ):
        errors = np.abs(found - expected).max(axis=1)
        assert errors.max() <= one.outputs[0].limit
        least.append(errors.max() > LEAST_STEPS / STEPS * float(np.ptp(one.outputs[0].values)))
    assert any(least), "one that two steps of the output do not cover"


def test_each_image_is_moved_in_one_number_by_one_step() -> None:
    graph = onnx.load_from_string(converted(TARGET).model_bytes).graph
    (stored,) = (one for one in graph.initializer if one.name == "input_scale")
    floats, levels = IMAGES, np.full((9, 8, 8, 3), 255, np.uint8)
    words = np.zeros((9, 4), np.int64)
    moved = one_step_away(graph, ["input", "pixels", "words"], [floats, levels, words])
    for given, found, step in (
        (floats, moved[0], float(numpy_helper.to_array(stored))),
        (levels, moved[1], 1.0),
    ):
        steps = np.abs(found.astype(np.float64) - given).reshape(len(given), -1)
        assert (np.count_nonzero(steps, axis=1) <= 1).all(), "no level leaves its range"
        assert steps.max() == pytest.approx(step, rel=1e-5)
    assert moved[2] is words


def test_whole_batches_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_integers, "PROBED_COUNT", 2 * BATCH - 1)
    opened = open_model(converted(TARGET).model_bytes, 1)
    inputs = [InputSet(one.name, one.arrays, one.batch_size) for one in golden()]
    runs = [{one.outputs[0].name: one.outputs[0].values} for one in golden()]
    assert len(golden_integers.golden_integers(opened, inputs, runs)) == len(inputs)


def test_kernels_that_overflow_are_not_taken_here(tmp_path: Path) -> None:
    model_bytes = converted("web").model_bytes
    sets = verify(trained(), model_bytes).golden
    save_bundle(tmp_path / "bundle", model_bytes, sets)
    found = replay(read_bundle(tmp_path / "bundle", model_bytes), open_to_replay(model_bytes, 1))
    assert all(one.passed and one.max_abs_error == 0 for one in found.values())


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_node")
def test_xnnpack_gives_the_golden_outputs() -> None:
    feeds = [Feed(one.images, one.batch_size) for one in golden()]
    outputs = find_runtime("xnnpack").run(converted(TARGET).model_bytes, feeds).outputs
    judged = judge_golden(golden(), [(one,) for one in outputs], 1.0)
    assert all(one.passed and one.max_abs_error == 0 for one in judged.values()), judged

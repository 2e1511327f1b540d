"""A race times nothing that is wrong, and says what it left out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.race import Course, Runner, checked_error_ratio, run_race
from legoexport.errors import CheckFailed, UsageError

COURSE = Course(shape=(1, 2, 4, 4), threads=1, model_s=0.01, restarts_count=2)


def silent(_: str) -> None:
    """Take no notice."""


def scaled_by(factor: float, path: Path) -> Path:
    """Write a model that multiplies its input."""
    value = helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 2, 4, 4])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 2, 4, 4])
    by = numpy_helper.from_array(np.array([factor], np.float32), "factor")
    node = helper.make_node("Mul", ["input", "factor"], ["output"])
    graph = helper.make_graph([node], "scaled", [value], [output], [by])
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[opset]), path)
    return path


@pytest.fixture
def twice(tmp_path: Path) -> Path:
    return scaled_by(2.0, tmp_path / "twice.onnx")


def test_wrong_numbers_are_refused_beyond_what_fewer_bits_may_be_off(
    twice: Path, tmp_path: Path
) -> None:
    near = scaled_by(2.01, tmp_path / "near.onnx")
    far = scaled_by(2.1, tmp_path / "far.onnx")
    runners = [
        Runner("dense", lambda: twice),
        Runner("wrong", lambda: near),
        Runner("right", lambda: twice),
        Runner("near", lambda: near, largest_error_ratio=0.01),
        Runner("far", lambda: far, largest_error_ratio=0.01),
    ]
    entries, absent = run_race(runners, COURSE, silent)
    assert [entry.label for entry in entries] == ["dense", "right", "near"]
    assert [one.label for one in absent] == ["wrong", "far"]
    assert "computes something else" in absent[0].reason
    assert "5.0e-03" in absent[0].reason
    for entry in entries:
        assert len(entry.restarts_ms) == COURSE.restarts_count
        assert entry.file_size_bytes == twice.stat().st_size
    assert [entry.error_ratio for entry in entries[:2]] == [0.0, 0.0]


def test_what_cannot_be_made_or_loaded_is_said(twice: Path, tmp_path: Path) -> None:
    def unmade() -> Path:
        raise CheckFailed("it is not installed", next_step="install it")

    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    ends = (sys.executable, "-c", "raise SystemExit(3)")
    runners = [
        Runner("dense", lambda: twice),
        Runner("unmade", unmade),
        Runner("empty", lambda: empty),
        Runner("ends", lambda: twice, ends),
    ]
    entries, absent = run_race(runners, COURSE, silent)
    assert [entry.label for entry in entries] == ["dense"]
    reasons = {one.label: one.reason for one in absent}
    assert reasons["unmade"] == "it is not installed; next: install it"
    assert "does not load" in reasons["empty"]
    assert "exit code 3" in reasons["ends"]


def test_without_a_reference_there_is_no_race(tmp_path: Path) -> None:
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    with pytest.raises(UsageError, match="does not load"):
        run_race([Runner("dense", lambda: empty)], COURSE, silent)


def test_outputs_are_compared_by_the_range_of_the_reference() -> None:
    reference = np.array([[0.0, -100.0]], np.float32)
    assert checked_error_ratio("x", reference + np.float32(0.01), reference, 1e-3) < 2e-4
    for wrong in (reference + np.float32(1), reference * np.float32("nan"), reference[:, :1]):
        with pytest.raises(CheckFailed, match="something else"):
            checked_error_ratio("x", wrong, reference, 1e-3)

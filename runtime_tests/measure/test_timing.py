"""What a comparison says in words, and what a file weighs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from legoexport.measure.statistics import RatioInterval, summarize
from legoexport.measure.timing import Comparison, Memory, Timing
from legoexport.ort.model_file import file_size_bytes


def timing(model: str) -> Timing:
    latency, memory = summarize([1.0]), Memory(1, 2, 3)
    return Timing(model, 1, "CPUExecutionProvider", 4, latency, 1.0, memory, 1, (), None, "ort")


def sentence(low: float, estimate: float, high: float, other: str = "b/dense.onnx") -> str:
    interval = RatioInterval(estimate, low, high)
    return str(Comparison(timing("a/model.onnx"), timing(other), interval, 10))


def test_the_faster_model_is_the_subject_of_the_sentence() -> None:
    assert sentence(1.79, 1.83, 1.88) == "model.onnx is 1.83x faster than dense.onnx [1.79, 1.88]"
    assert sentence(0.4, 0.5, 0.8) == "dense.onnx is 2.00x faster than model.onnx [1.25, 2.50]"


def test_an_interval_with_one_is_no_difference() -> None:
    said = "no difference measured between model.onnx and dense.onnx [0.99, 1.02]"
    assert sentence(0.99, 1.01, 1.02) == said


def test_files_of_one_name_are_told_apart() -> None:
    said = sentence(2.0, 2.0, 2.0, other="b/model.onnx")
    assert said == "a/model.onnx is 2.00x faster than b/model.onnx [2.00, 2.00]"


def test_throughput_counts_images() -> None:
    assert timing("model.onnx").images_per_second == pytest.approx(4000)


def test_a_file_weighs_its_external_data_too(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.zeros(1000, np.float32), "weights")
    node = helper.make_node("Add", ["weights", "weights"], ["sum"])
    graph = helper.make_graph([node], "graph", [], [], [weights])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph), path, save_as_external_data=True, location="model.data")
    data_bytes = (tmp_path / "model.data").stat().st_size
    assert data_bytes >= 4000
    assert file_size_bytes(path) == path.stat().st_size + data_bytes

"""The five files of a network: what they hold, and the table of their races."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from benchmarks.accuracies import ACCURACIES
from benchmarks.labels import DENSE_FP32, DENSE_INT8, FILES, LEGO_FP32, LEGO_INT8, LEGO_STORED
from benchmarks.networks import DIGITS, NETWORKS
from benchmarks.precision import LIMITS, MEASURED, ROUNDING_ERROR_RATIO, chosen
from benchmarks.precision_side import five_files
from benchmarks.records import Entry, Race, Taken
from benchmarks.render import decision
from benchmarks.render.document import write_document
from benchmarks.render.tables import precision_table
from benchmarks.store import races
from runtime_tests.networks import SmallNet

SHAPE = (3, 8, 8)
INTEGER_FILES = {"dense-int8.onnx", "lego-int8.onnx"}


def raced(taken: Taken, latencies_ms: dict[str, float]) -> Race:
    entries = tuple(
        Entry(label, 2_000_000, None, 0.1, ((ms, ms), (2 * ms, 2 * ms)))
        for label, ms in latencies_ms.items()
    )
    return Race("Net@32", 1, 1, entries, (), taken)


def outputs(content: bytes) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(1).standard_normal((1, *SHAPE), np.float32)
    scores: np.ndarray = session.run(None, {session.get_inputs()[0].name: image})[0]
    return scores


@pytest.mark.heavy
def test_five_files_of_one_network() -> None:
    torch.manual_seed(0)
    files = five_files(SmallNet().eval(), SHAPE, 2)
    assert list(files) == list(FILES.values())
    reference = outputs(files["dense-fp32.onnx"])
    for name, content in files.items():
        ops = {node.op_type for node in onnx.load_model_from_string(content).graph.node}
        assert ("QuantizeLinear" in ops) == (name in INTEGER_FILES), name
        off = np.abs(outputs(content) - reference).max() / np.abs(reference).max()
        assert off <= ROUNDING_ERROR_RATIO, name


def test_every_file_has_a_limit_and_every_network_exists() -> None:
    assert list(LIMITS) == list(FILES)
    assert set(MEASURED) <= set(NETWORKS)


def test_the_table_says_what_int8_gains(taken: Taken) -> None:
    race = raced(taken, dict(zip(FILES, (8.0, 3.0, 4.0, 4.0, 2.0), strict=True)))
    row = precision_table([race]).splitlines()[-1]
    assert "1.50x [1.50, 1.50] | 2.00x [2.00, 2.00]" in row
    absent = raced(taken, {LEGO_FP32: 4.0, DENSE_INT8: 3.0})
    assert precision_table([absent]).splitlines()[-1].endswith("| - | - | - |")
    assert LEGO_INT8 in precision_table([absent]).splitlines()[0]


def test_the_document_has_the_table(tmp_path: Path, taken: Taken) -> None:
    store = races("precision", tmp_path / "results")
    race = raced(taken, dict(zip(FILES, (8.0, 3.0, 4.0, 4.0, 2.0), strict=True)))
    store.add(race)
    document = tmp_path / "docs" / "benchmarks.md"
    document.parent.mkdir()
    write_document(tmp_path / "results", document)
    assert precision_table([race]) in document.read_text()


def test_the_digits_are_raced_beside_all_networks_and_not_beside_one() -> None:
    assert chosen(tuple(NETWORKS))[-1] == DIGITS
    assert [one.name for one in chosen(("mobilenet-224",))] == ["mobilenet-224"]


def test_accuracy_is_of_networks_that_are_raced() -> None:
    assert set(ACCURACIES) <= {one.title for one in chosen(tuple(NETWORKS))}
    for one in ACCURACIES.values():
        assert set(one.right_counts) <= set(FILES)
        assert one.percent(DENSE_FP32) == one.percent(LEGO_FP32)
    cifar = ACCURACIES[NETWORKS["vgg16-32"].title]
    assert cifar.percent(LEGO_INT8) == pytest.approx(88.95, abs=1e-9)  # a float of two decimals
    assert cifar.percent(LEGO_STORED) is None


def test_the_picture_is_of_networks_with_accuracy_on_the_fewest_threads(
    tmp_path: Path, taken: Taken
) -> None:
    race = raced(taken, dict(zip(FILES, (8.0, 3.0, 4.0, 4.0, 2.0), strict=True)))
    digits = replace(race, subject=DIGITS.title)
    cifar = replace(race, subject=NETWORKS["vgg16-32"].title)
    store = races("precision", tmp_path / "results")
    for one in (race, digits, cifar, replace(digits, threads=2)):
        store.add(one)
    assert decision.deciding(store.records) == (digits, cifar)
    write_document(tmp_path / "results", tmp_path / "benchmarks.md")
    assert "figures/benchmarks/precision.svg" in (tmp_path / "benchmarks.md").read_text()
    assert (tmp_path / "figures" / "benchmarks" / "precision.svg").stat().st_size > 1000

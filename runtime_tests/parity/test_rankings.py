"""Indices of equal scores: any order of theirs is right, and no other index is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn

from legoexport.deliver.convert import convert_module
from legoexport.errors import UsageError
from legoexport.models.lego_conv import LegoConv2d
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.bundle import read_bundle, replay, save_bundle
from legoexport.parity.golden import GoldenOutput, GoldenSet, judge_golden
from legoexport.parity.inputs import InputSet
from legoexport.parity.judge import combine
from legoexport.parity.judge_outputs import judge_outputs
from legoexport.parity.rankings import Ranking, note, picks_equal_scores, rankings
from legoexport.parity.reference import Reference, ReferenceOutput
from legoexport.parity.verify import verify

LIMIT = 1e-6
NAMES = ("scores", "best")


@st.composite
def ranked(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A row of scores with ties, sorted, and where each was."""
    row = np.array(draw(st.lists(st.integers(0, 3), min_size=2, max_size=12)), np.float64)
    order = np.argsort(-row, kind="stable")
    return row[order], order


def permuted_within_ties(
    scores: NDArray[np.float64], indices: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(indices[scores == one]) for one in -np.unique(-scores)])


@given(ranked(), st.integers(0, 99))
def test_every_order_of_equal_scores_is_right(
    row: tuple[NDArray[np.float64], NDArray[np.int64]], seed: int
) -> None:
    scores, indices = row
    actual = permuted_within_ties(scores, indices, seed)
    assert picks_equal_scores(scores, indices, actual, LIMIT, 0).all()


@given(ranked(), st.integers(0, 99), st.data())
def test_an_index_of_another_score_is_wrong(
    row: tuple[NDArray[np.float64], NDArray[np.int64]], seed: int, data: st.DataObject
) -> None:
    scores, indices = row
    actual = permuted_within_ties(scores, indices, seed)
    one, other = (data.draw(st.integers(0, len(scores) - 1)) for _ in "ab")
    actual[[one, other]] = actual[[other, one]]
    expected = np.ones(len(scores), bool)
    expected[[one, other]] = scores[one] == scores[other]
    assert (picks_equal_scores(scores, indices, actual, LIMIT, 0) == expected).all()


@pytest.mark.parametrize("actual", [[3, 3, 1], [3, 5, 1], [-1, 2, 1]])
def test_an_index_that_comes_twice_or_from_elsewhere_is_wrong(actual: list[int]) -> None:
    scores, indices = np.array([2.0, 2.0, 1.0]), np.array([3, 2, 1])
    found = picks_equal_scores(scores, indices, np.array(actual), LIMIT, 0)
    assert not found.all()


def judged(scores: list[float], actual_scores: list[float], actual: list[int]) -> Agreement:
    images = np.zeros((1, 1), np.float32)
    truth = np.array([scores])
    indices = np.arange(len(scores))[None]
    reference = Reference(
        (
            ReferenceOutput(truth, truth.astype(np.float32)),
            ReferenceOutput(indices, indices),
        )
    )
    outputs = (np.array([actual_scores], np.float32), np.array([actual]))
    found = judge_outputs(
        [InputSet("set", (images,), 1)],
        [reference],
        [outputs],
        growth=1.0,
        names=NAMES,
        ranked=[Ranking("best", "scores", -1, "TopK top")],
    )
    return found["set, best"]


def test_the_verdict_goes_by_the_scores_and_counts_the_ties() -> None:
    tied = judged([4, 2, 2, 1], [4, 2, 2, 1], [0, 2, 1, 3])
    assert (tied.passed, tied.unsettled_count, tied.output) == (True, 2, "best")
    assert not judged([4, 2, 2, 1], [4, 2, 2, 1], [1, 0, 2, 3]).passed
    assert not judged([4, 2, 2, 1], [4, 2, 2, 0], [0, 2, 1, 3]).passed, "the scores are wrong"


class Ranked(nn.Module):
    """Scores of which most are equal, ranked."""

    def __init__(self, *, beside: bool) -> None:
        super().__init__()
        self.body = LegoConv2d(8, 8, 3, o=2, m=4, padding=1)
        self.beside = beside

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        scores, indices = (self.body(x).flatten(1) > 0.5).float().sort(1, descending=True)
        return {"scores": scores, "best": indices} if self.beside else indices


def test_a_network_of_ties_is_converted_and_verified() -> None:
    torch.manual_seed(0)
    network = Ranked(beside=True)
    conversion = convert_module(network, torch.zeros(2, 8, 6, 6))
    (found,) = rankings(onnx.load_from_string(conversion.model_bytes))
    assert (found.output, found.scores) == ("best", "scores")
    assert verify(network, conversion.model_bytes).passed


def test_a_bundle_judges_indices_by_their_scores(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Ranked(beside=True)
    model_bytes = convert_module(network, torch.zeros(2, 8, 6, 6)).model_bytes
    save_bundle(tmp_path / "bundle", model_bytes, verify(network, model_bytes).golden)
    sets = read_bundle(tmp_path / "bundle", model_bytes)
    assert combine(replay(sets, RuntimeModel(model_bytes, 1))).passed
    scores, golden = (output.values for output in sets[0].outputs)
    flipped = np.stack(
        [permuted_within_ties(*row, seed=1) for row in zip(scores, golden, strict=True)]
    )
    assert (flipped != golden).any(), "the set has ties"
    key = f"{sets[0].name}, best"
    found = judge_golden(sets[:1], [(scores, flipped)])[key]
    assert (found.passed, found.unsettled_count > 0) == (True, True)
    wrong = judge_golden(sets[:1], [(scores, golden[:, ::-1].copy())])[key]
    assert not wrong.passed, "the worst came first"


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        ({"scores": "scores", "axis": 1}, True),
        (None, False),
        ({"scores": "unknown", "axis": 1}, None),
        ({"scores": "scores"}, None),
    ],
)
def test_what_a_bundle_says_of_ranks_counts(
    tmp_path: Path, change: dict[str, object] | None, passes: bool | None
) -> None:
    images = np.zeros((1, 1), np.float32)
    scores, places = np.array([[2.0, 2.0]], np.float32), np.array([[0, 1]])
    outputs = (
        GoldenOutput("scores", scores, limit=LIMIT, reference_max_abs_error=LIMIT / 4),
        GoldenOutput("best", places, places, scores="scores", axis=1),
    )
    model_bytes = graph([]).SerializeToString()
    save_bundle(tmp_path / "bundle", model_bytes, [GoldenSet("set", 1, (images,), outputs)])
    path = tmp_path / "bundle" / "bundle.json"
    record = json.loads(path.read_text())
    del record["record_sha256"]
    described = record["sets"][0]["outputs"][1]
    assert described.pop("ranks") == {"scores": "scores", "axis": 1}
    if change is not None:
        described["ranks"] = change
    path.write_text(json.dumps(record))
    if passes is None:
        with pytest.raises(UsageError, match="is not a bundle"):
            read_bundle(tmp_path / "bundle", model_bytes)
        return
    sets = read_bundle(tmp_path / "bundle", model_bytes)
    judged = judge_golden(sets, [(scores, places[:, ::-1].copy())])
    assert judged["set, best"].passed is passes


def graph(outputs: list[str]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("TopK", ["x", "k"], ["scores", "places"], "top", axis=1),
        helper.make_node("Cast", ["places"], ["best"], "cast", to=TensorProto.INT32),
        helper.make_node("ArgMax", ["x"], ["first"], "largest", axis=1, keepdims=0),
        helper.make_node("Shape", ["x"], ["size"], "shape"),
    ]
    values = [onnx.ValueInfoProto(name=name) for name in outputs]
    return helper.make_model(helper.make_graph(nodes, "g", [], values))


def test_outputs_that_hold_indices_are_found() -> None:
    assert rankings(graph(["best", "scores", "first", "size"])) == (
        Ranking("best", "scores", 1, "TopK top"),
        Ranking("first", None, 1, "ArgMax largest"),
    )


def test_a_failure_says_that_a_tie_may_be_behind_it() -> None:
    wrong = judged([4, 2, 2, 1], [4, 2, 2, 1], [1, 0, 2, 3])
    alone, beside = (note(graph(names), wrong) for names in (["best"], ["scores", "best"]))
    assert alone is not None
    assert "output best holds indices from TopK top" in alone
    assert "return the scores beside them" in alone
    assert beside is not None
    assert "rank them all, or break the ties" in beside
    assert note(graph(["size", "best"]), judged([1], [1], [7])) is not None
    assert note(graph(["size"]), wrong) is None


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_bundle_of_the_likeliest_classes_knows_all_scores(
    tmp_path: Path, *, is_whole: bool
) -> None:
    scores, places = np.array([[4.0, 2.0]], np.float32), np.array([[0, 1]])
    among = np.array([[4.0, 2.0, 2.0]], np.float32) if is_whole else None
    outputs = (
        GoldenOutput("scores", scores, limit=LIMIT, reference_max_abs_error=LIMIT / 4),
        GoldenOutput("best", places, places, scores="scores", axis=1, among=among),
    )
    model_bytes = graph([]).SerializeToString()
    images = np.zeros((1, 1), np.float32)
    save_bundle(tmp_path / "bundle", model_bytes, [GoldenSet("set", 1, (images,), outputs)])
    sets = read_bundle(tmp_path / "bundle", model_bytes)
    assert judge_golden(sets, [(scores, np.array([[0, 2]]))])["set, best"].passed is is_whole

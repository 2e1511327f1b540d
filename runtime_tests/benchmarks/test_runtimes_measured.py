"""What the matrix of runtimes says of a runtime that is right, that lies, and that stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pytest

from benchmarks.matrix.measure import Backbone, BuiltFile, build_files, load, take
from legoexport.errors import CheckFailed
from legoexport.passes.lowerings import LOWERINGS
from legoexport.runtimes import Feed, PlacedNode, Replay, find_runtime

# Of the output's range: far more than float32 loses, and far less than an eye would see.
SMALL_LIE = 1e-4


@dataclass(frozen=True)
class Liar:
    """The CPU provider, but one output is a little off; infinitely, if told so."""

    off: float
    name: str = "liar"

    def run(self, model_bytes: bytes, feeds: Sequence[Feed]) -> Replay:
        replay = find_runtime("cpu").run(model_bytes, feeds)
        last = replay.outputs[-1].copy()
        last[-1, -1] += np.float32(self.off * np.ptp(last))
        placement = (PlacedNode("a", "Conv", "X"), PlacedNode("b", "Relu", "X"))
        return replace(replay, outputs=(*replay.outputs[:-1], last), placement=placement)


@dataclass(frozen=True)
class Stopper:
    name: str = "stopper"

    def run(self, model_bytes: bytes, feeds: Sequence[Feed]) -> Replay:
        raise CheckFailed("illegal instruction", received=f"{len(model_bytes)} bytes")


@lru_cache
def backbone() -> tuple[Backbone, tuple[BuiltFile, ...]]:
    loaded = load("digits")
    return loaded, tuple(build_files(loaded, ["grouped", "dense"]))


@pytest.mark.heavy
def test_every_lowering_is_a_file_or_idle() -> None:
    loaded, _ = backbone()
    made = [built.file.lowering for built in build_files(loaded, list(LOWERINGS))]
    assert sorted((*made, *loaded.idle)) == sorted(LOWERINGS)


def test_a_runtime_that_is_right_passes() -> None:
    loaded, files = backbone()
    cells = [take(loaded, built, find_runtime("cpu")) for built in files]
    assert [cell.lowering for cell in cells] == ["grouped", "dense"]
    assert all(cell.passed and cell.error_ratio is not None for cell in cells), cells
    assert [cell.sha256 for cell in cells] == [built.file.sha256 for built in files]


def test_a_small_lie_about_one_number_fails() -> None:
    loaded, files = backbone()
    cell = take(loaded, files[0], Liar(SMALL_LIE))
    assert not cell.passed
    assert cell.beyond_limit
    assert cell.nodes == {"X": 2}


def test_what_is_not_finite_fails_without_a_figure() -> None:
    loaded, files = backbone()
    cell = take(loaded, files[0], Liar(float("inf")))
    assert (cell.passed, cell.error_ratio) == (False, None)


def test_a_runtime_that_stops_fails_with_its_words() -> None:
    loaded, files = backbone()
    cell = take(loaded, files[0], Stopper())
    assert not cell.passed
    assert cell.failure.startswith("illegal instruction")

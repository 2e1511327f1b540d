"""The cost model: it knows the lowerings, and orders clear cases as measurements do."""

from __future__ import annotations

import numpy as np
import pytest

from legoexport.passes.cost_model import ONE_THREAD, Machine, seconds
from legoexport.passes.lowerings import Site, find_lowering
from legoexport.passes.preference import preferred_plan
from legoexport.target import CPU
from runtime_tests.layers import random_frozen


def site(channels: int, outputs: int, size: int, kernel: int = 3) -> Site:
    frozen = random_frozen(
        np.random.default_rng(0),
        m=outputs // 2,
        n=outputs,
        fragment_channels=channels // 2,
        kernel=(kernel, kernel),
        padding=(kernel // 2, kernel // 2),
    )
    return Site("layer", frozen, (size, size))


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (site(8, 8, 8), "grouped"),
        (site(64, 64, 224), "grouped_dense_merge"),
        (site(256, 256, 56), "winograd_rows_7"),
        (site(512, 512, 14), "winograd_rows_7_batch"),
        (site(64, 256, 56, kernel=1), "dense"),
        (site(1024, 512, 14, kernel=1), "grouped"),
    ],
    ids=["tiny", "wide", "middle", "deep", "narrow 1x1", "deep 1x1"],
)
def test_clear_cases(place: Site, expected: str) -> None:
    assert preferred_plan([place], CPU).lowerings == {"layer": expected}


def test_time_follows_the_machine() -> None:
    place, rate = site(256, 256, 56), ONE_THREAD.macs_per_second
    idle = Machine(rate, bytes_per_second=np.inf, seconds_per_node=0.0)
    macs = find_lowering("dense").footprint(place).macs
    assert seconds(place, "dense", idle) == pytest.approx(macs / rate)
    assert seconds(place, "dense") > seconds(place, "dense", idle)

"""The cases are data that can be relied on, and so is the table of releases."""

from __future__ import annotations

from itertools import pairwise

import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.doctor.cases import (
    NEWEST,
    ONNXRUNTIME,
    SEVERITIES,
    Case,
    format_version,
    known_cases,
    known_engines,
    known_releases,
    parse_version,
    release_of,
)
from legoexport.doctor.triggers import TRIGGERS
from legoexport.errors import UsageError
from legoexport.target import TARGETS
from runtime_tests.doctor.graphs import Conv, chain, weight


@pytest.mark.parametrize("case", known_cases(), ids=lambda case: case.id)
def test_a_case_is_complete(case: Case) -> None:
    assert case.severity in SEVERITIES
    assert case.targets or case.engine != ONNXRUNTIME
    assert set(case.targets) <= set(TARGETS)
    assert case.trigger in TRIGGERS
    assert case.remedies
    assert case.explanation.strip()
    assert case.first is None or case.fixed is None or case.first < case.fixed
    assert case.needs in (None, "sme", "no vnni")
    assert any(
        source.startswith(("https://github.com/", "onnxruntime/", "measured"))
        for source in case.sources
    ), "someone has to be able to look it up, or to repeat it"


def test_cases_and_triggers_belong_together() -> None:
    ids = [case.id for case in known_cases()]
    assert len(set(ids)) == len(ids)
    assert {case.trigger for case in known_cases()} == set(TRIGGERS)
    severities = [SEVERITIES.index(case.severity) for case in known_cases()]
    assert severities == sorted(severities)


@given(st.tuples(*[st.integers(0, 999)] * 3))
def test_versions_round_trip(version: tuple[int, int, int]) -> None:
    assert parse_version(format_version(version)) == version


def test_versions_with_less_or_more() -> None:
    assert parse_version("1.24") == (1, 24, 0)
    assert parse_version("1.24.1.dev20251031") == (1, 24, 1)
    with pytest.raises(UsageError, match="latest"):
        parse_version("latest")


def test_a_case_holds_from_the_first_version_to_the_one_before_fixed() -> None:
    (case,) = (case for case in known_cases() if case.id == "sme-weights-cache")
    held = [
        version for version in ("1.23.2", "1.24.0", "1.24.1", "1.26.9", "1.27.0", "1.32.0")
        if case.concerns("arm64", parse_version(version))
    ]  # fmt: skip
    assert held == ["1.24.0", "1.24.1", "1.26.9"]
    assert not case.concerns("web", parse_version("1.24.1"))


def test_a_case_of_another_engine_concerns_every_target_of_that_engine_alone() -> None:
    (case,) = (case for case in known_cases() if case.id == "ncnn-gather")
    assert case.concerns("arm64", NEWEST, "ncnn")
    assert case.concerns("coreml", (1, 0, 0), "ncnn")
    assert not case.concerns("arm64", NEWEST)
    assert known_engines()[0] == ONNXRUNTIME
    assert format_version(NEWEST) == "newest"


def test_later_releases_load_no_less() -> None:
    releases = known_releases()
    for older, newer in pairwise(releases):
        assert older.version < newer.version
        assert older.opset <= newer.opset
        assert older.ir_version <= newer.ir_version
    assert release_of((1, 14, 1)) is None
    assert release_of((1, 16, 3)) == release_of((1, 15, 0))
    assert release_of((9, 0, 0)) == releases[-1]


def loads(*, opset: int, ir_version: int) -> bool:
    model = chain([Conv(weight(2, 3, 3, 3))], opset=opset, ir_version=ir_version)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options)
    except Exception:
        return False
    return True


def test_the_table_is_right_about_the_onnxruntime_that_is_here() -> None:
    release = release_of(parse_version(onnxruntime.__version__))
    assert release is not None
    assert loads(opset=release.opset, ir_version=8)
    assert not loads(opset=release.opset + 1, ir_version=8)
    assert loads(opset=17, ir_version=release.ir_version)
    assert not loads(opset=17, ir_version=release.ir_version + 1)

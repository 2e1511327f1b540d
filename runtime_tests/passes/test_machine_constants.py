"""Constants of a machine: a file that reads back, a digest, and no damage that goes unnoticed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.errors import UsageError
from legoexport.passes.machine_constants import (
    BUILT_IN,
    IntegerRates,
    MachineConstants,
    Rates,
    integer_rates,
)

POSITIVE = st.floats(1e-3, 1e15)
NOT_NEGATIVE = st.floats(0, 1e15)
INTEGERS = st.builds(IntegerRates, POSITIVE, POSITIVE, NOT_NEGATIVE, NOT_NEGATIVE, NOT_NEGATIVE)
CONSTANTS = st.builds(
    lambda processor, counts, numbers, integers: MachineConstants(
        processor,
        "1.32.0",
        tuple(replace(Rates(count, *numbers), integers=integers) for count in sorted({1, *counts})),
    ),
    st.text(max_size=20),
    st.sets(st.integers(2, 256), max_size=4),
    st.tuples(POSITIVE, POSITIVE, POSITIVE, NOT_NEGATIVE, NOT_NEGATIVE),
    st.none() | INTEGERS,
)
RATES = BUILT_IN.rates[0]
INTEGER_ENTRY = asdict(integer_rates(RATES))


@given(CONSTANTS)
def test_a_file_reads_back(constants: MachineConstants) -> None:
    again = MachineConstants.from_json(constants.to_json(), source="here")
    assert again == constants
    assert again.sha256 == constants.sha256


def test_the_digest_is_that_of_the_file() -> None:
    content = BUILT_IN.to_json().encode()
    assert BUILT_IN.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        replace(BUILT_IN, processor="another"),
        replace(BUILT_IN, onnxruntime="1.16.0"),
        replace(BUILT_IN, rates=(replace(RATES, macs_per_second=91e9), *BUILT_IN.rates[1:])),
        replace(BUILT_IN, rates=BUILT_IN.rates[:1]),
    ],
    ids=["processor", "onnxruntime", "a rate", "thread counts"],
)
def test_other_constants_have_another_digest(other: MachineConstants) -> None:
    assert other.sha256 != BUILT_IN.sha256
    assert BUILT_IN.is_built_in
    assert not other.is_built_in


def damaged(**changes: object) -> str:
    return json.dumps(BUILT_IN.content() | changes)


def with_rates(**changes: object) -> str:
    entry: dict[str, Any] = BUILT_IN.content()["rates"][0]
    return damaged(rates=[entry | changes])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BUILT_IN.to_json()[:-20], "no constants"),
        ("[]", "no constants"),
        ("7", "no constants"),
        (damaged(rates=None), "no constants"),
        (damaged(rates=[1]), "no constants"),
        (damaged(rates=[{"threads": 1}]), "macs_per_second"),
        (with_rates(gigaflops=3), "gigaflops"),
        (damaged(version=2), "version"),
        (damaged(rates=[]), "threads"),
        (with_rates(integers={"macs_per_second": 1e9}), "seconds_per_sum"),
        (with_rates(integers=[1e9]), "mapping"),
        (with_rates(integers={**INTEGER_ENTRY, "macs_per_second": 0}), "macs_per_second"),
        (with_rates(integers={**INTEGER_ENTRY, "seconds_per_sum": -1}), "seconds_per_sum"),
        (with_rates(threads=2), "threads"),
        (with_rates(threads=1.0), "threads"),
        (with_rates(macs_per_second=0), "macs_per_second"),
        (with_rates(macs_per_second=True), "macs_per_second"),
        (with_rates(bytes_per_second="fast"), "bytes_per_second"),
        (with_rates(bytes_per_second=float("inf")), "bytes_per_second"),
        (with_rates(seconds_per_node=-1e-9), "seconds_per_node"),
        (with_rates(seconds_per_spilled_byte=float("nan")), "seconds_per_spilled_byte"),
    ],
)
def test_damage_is_named_with_its_file(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        MachineConstants.from_json(text, source="machine.json")
    assert "machine.json" in str(caught.value)


def test_rates_are_those_of_the_nearest_measured_count_of_threads() -> None:
    assert [BUILT_IN.with_threads(rates.threads) for rates in BUILT_IN.rates] == [*BUILT_IN.rates]
    assert BUILT_IN.with_threads(3).threads == 1
    assert BUILT_IN.with_threads(64).threads == 4


def test_a_file_without_integers_keeps_its_digest_and_takes_those_built_in() -> None:
    floats = tuple(replace(rates, integers=None) for rates in BUILT_IN.rates)
    old = replace(BUILT_IN, rates=floats)
    assert "integers" not in old.to_json()
    again = MachineConstants.from_json(old.to_json(), source="here")
    assert again.sha256 == old.sha256 == hashlib.sha256(old.to_json().encode()).hexdigest()
    for threads in (1, 3, 4, 64):
        built_in = integer_rates(BUILT_IN.with_threads(threads))
        assert integer_rates(again.with_threads(threads)) == built_in

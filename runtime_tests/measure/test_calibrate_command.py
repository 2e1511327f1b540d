"""legoexport calibrate, as it is typed; what it measures is planted, for no test trusts a clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from legoexport import cli
from legoexport.host.machine import describe
from legoexport.measure.calibration import run as measuring
from legoexport.measure.calibration.kept import constants_for_this_processor, read_constants
from legoexport.measure.calibration.run import Calibration
from legoexport.measure.calibration.samples import SAMPLES
from legoexport.passes.cost_model import seconds
from legoexport.passes.machine_constants import BUILT_IN

HERE = describe()
RATES = BUILT_IN.rates[0]

Typed = Callable[..., int]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Run the command with a cache of its own and with built-in rates for all thread counts."""

    def calibrate(threads: Sequence[int], tell: object) -> Calibration:
        del tell
        rates = tuple(replace(RATES, threads=count) for count in threads)
        constants = replace(
            BUILT_IN, processor=HERE.cpu_model, onnxruntime=HERE.onnxruntime, rates=rates
        )
        return Calibration(constants, 1.01)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(measuring, "calibrate", calibrate)

    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as ended:
            cli.main(["calibrate", *map(str, arguments)])
        return int(ended.value.code or 0)

    return run


def test_it_keeps_what_convert_then_finds(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed("--threads", "1,2,4") == 0
    found = constants_for_this_processor()
    assert found is not None
    assert [rates.threads for rates in found.rates] == [1, 2, 4]
    assert found.sha256 in capsys.readouterr().out


def test_a_cache_that_cannot_be_written_is_told_before_measuring(
    typed: Typed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(measuring, "calibrate", lambda *_: pytest.fail("it measures"))
    (tmp_path / "cache").write_text("no folder")
    assert typed() == 2
    said = capsys.readouterr().err
    assert f"cannot make the folder {tmp_path / 'cache'}" in said
    assert "next: set XDG_CACHE_HOME to a writable folder" in said


def test_another_file_leaves_the_cache_alone(
    typed: Typed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "machine.json"
    assert typed("--threads", 1, "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert constants_for_this_processor() is None
    assert told["sha256"] == read_constants(out).sha256
    assert told["processor"] == HERE.cpu_model


@pytest.mark.parametrize("threads", ["", "2", "2,1", "1,1", "0,1", "one", "1,-2", "1,257"])
def test_thread_counts_ascend_from_one(
    typed: Typed, threads: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("--threads", threads) == 2
    assert "such as 1,2,4" in capsys.readouterr().err


def test_rounds_go_on_until_they_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that take planted times: two rounds disturb everything, later ones nothing."""
    rounds: list[int] = []

    class Worker:
        def __init__(self, path: Path) -> None:
            self.client = self
            self.sample = next(one for one in SAMPLES if one.name == path.stem)
            self.runs_count = 0

        def measure_ms(self, duration_s: float) -> list[float]:
            del duration_s
            self.runs_count += 1
            rounds.append(self.runs_count)
            slow = 5 - self.runs_count if self.runs_count < 5 else 1
            once_ms = 1e3 * seconds(self.sample.site, self.sample.lowering, RATES)
            return [3 * once_ms, slow * once_ms]

    monkeypatch.setattr(measuring, "start", lambda stack, path, options, tell: Worker(path))
    found = measuring.calibrate([1])
    assert max(rounds) == 5
    assert found.disagreement_ratio == 1
    assert found.constants.rates[0].macs_per_second == pytest.approx(
        RATES.macs_per_second, rel=1e-3
    )

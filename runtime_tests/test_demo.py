"""The table that ends ``make demo``, from what its commands print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from legoexport import demo
from legoexport.demo import Form

VERIFIED = {"agreement": {"accuracy": {"images_count": 360, "onnx_correct_count": 359}}}


def printed(sizes: tuple[int, int], int8: Any) -> dict[str, Any]:
    totals = {"weights": 280_000, "counted_macs": 11_600_000}
    twin = {"weights": 1_110_000, "counted_macs": 28_400_000}
    size, twin_size = sizes
    files = {"size_bytes": size, "dense_twin_size_bytes": twin_size}
    return {"totals": totals, "dense_twin": twin, "int8": int8, **files}


def timed(own_ms: float, twin_ms: float) -> dict[str, Any]:
    model, other = ({"latency": {"p50_ms": one}} for one in (own_ms, twin_ms))
    ratios = {"estimate_ratio": twin_ms / own_ms, "low_ratio": 1.0, "high_ratio": 3.0}
    return {"model": model, "other": other, "speedup": ratios}


def test_both_precisions_have_their_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    files = [
        {"file": name, "right_count": right}
        for name, right in (("file in fp32", 359), ("this file", 358), ("dense twin", 357))
    ]
    cost = {"cost": {"scores": [{"files": files}]}}
    in_fp32 = Form.of(printed((1_140_000, 4_440_000), None), timed(0.4, 0.6))
    in_int8 = Form.of(printed((337_000, 1_130_000), cost), timed(0.2, 0.5))
    demo.print_results(0.997, VERIFIED, in_fp32, in_int8)
    text = capsys.readouterr().out
    rows = {line[:24].strip(): line[24:].split() for line in text.splitlines()}
    assert rows["file"] == ["1.14", "MB", "4.44", "MB", "337", "kB", "1.13", "MB"]
    assert rows["right of 360"] == ["359", "same", "function", "358", "357"]
    assert rows["median latency, 1 thread"] == [
        "0.400",
        "ms",
        "0.600",
        "ms",
        "0.200",
        "ms",
        "0.500",
        "ms",
    ]
    assert rows["speed-up, same precision"] == ["1.50x", "1x", "2.50x", "1x"]
    assert "2.50x [1.00, 3.00] in int8" in text

"""What rounding costs: the report measures it, and shows what ``convert`` printed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from legoexport.cli import group
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.quantize.cost import RoundingCost
from legoexport.quantize.scores_cost import FileScores, ScoresCost
from legoexport.quantize.view import files_rows, layers_table
from legoexport.report.facts import Facts
from legoexport.report.page import render
from runtime_tests.networks import randomize
from runtime_tests.report.conftest import COST
from runtime_tests.report.test_page import Elements

SCORES = ScoresCost("images", 4, 3, (FileScores("this file", 30.0, 4, None),))


def run(*words: object) -> str:
    result = CliRunner().invoke(group, [*map(str, words)])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, labelled images, and a file in int8 beside its dense twin."""
    path = tmp_path_factory.mktemp("precision")
    torch.manual_seed(0)
    write_checkpoint(
        path / "c.pt", randomize(build("lego_digits")), arch="lego_digits", hyperparameters={}
    )
    images = np.random.default_rng(1).standard_normal((9, 1, 8, 8)).astype(np.float32)
    np.savez(path / "i.npz", images=images, labels=np.arange(9))
    files = ("--out", path / "m.onnx", "--dense-twin", path / "twin.onnx")
    how = ("--precision", "int8", "--data", path / "i.npz", "--json")
    (path / "convert.json").write_text(run("convert", path / "c.pt", *how, *files))
    return path


def cells(rows: Any) -> set[str]:
    return {str(cell) for row in rows for cell in row}


@pytest.mark.heavy
def test_a_report_in_int8_shows_what_convert_printed(folder: Path) -> None:
    files = (folder / "c.pt", folder / "m.onnx")
    data, out = ("--data", folder / "i.npz"), folder / "report.html"
    measured = ("--vs", folder / "twin.onnx", "--duration", "0.05", "--threads", "1")
    run("report", *files, *data, *measured, "--out", out)
    found = json.loads((folder / "convert.json").read_text())["int8"]["cost"]
    elements = Elements(out.read_text())
    assert "What int8 costs" in elements.text
    assert f"{found['scores'][0]['images_count']}dense twin" in elements.text
    for layer in found["layers"]:
        assert f"{layer['sqnr_both_db']:.1f}" in elements.text
        assert f"{layer['sqnr_weights_db']:.1f}" in elements.text
    labels = [one["aria-label"] or "" for one in elements.named("svg")]
    assert sum("layers compute in int8" in label for label in labels) == 1
    assert "--dense-twin" in elements.text


def rounded(facts: Facts, **changes: Any) -> Elements:
    subject = replace(facts.subject, precision="int8", store="int8")
    return Elements(render(replace(facts, subject=subject, **changes)).decode())


def test_totals_and_layers_stand_in_tables(facts: Facts) -> None:
    cost = RoundingCost((COST,), (SCORES,))
    elements = rounded(facts, cost=cost)
    _, columns, rows = layers_table(cost.layers)
    for cell in cells([columns, *rows, *files_rows(cost)]):
        assert cell in elements.text
    assert "Precision by layer" in elements.text


def test_what_has_no_limit_is_measured_and_integers_are_right_or_wrong(
    facts: Facts, page: str
) -> None:
    found = facts.verification
    free = {name: replace(one, limit=np.inf) for name, one in found.agreements.items()}
    elements = rounded(facts, cost=None, verification=replace(found, agreements=free))
    assert "inf" not in elements.text.split("Outputs against")[1].split("rebuilt")[0]
    assert "Lego layers against the right integers" in elements.text
    assert "Error by layer" not in elements.text
    assert "Error by layer" in page


def test_what_was_not_measured_is_said(facts: Facts) -> None:
    assert "add --data" in rounded(facts, cost=None).text
    failed = replace(
        facts.verification,
        diagnosis=("wrong",),
        layers=tuple(replace(one, limit_ratio=2.0) for one in facts.verification.layers),
    )
    assert "fails its check" in rounded(facts, cost=None, verification=failed).text


def test_a_file_in_float_has_no_such_part(page: str) -> None:
    assert 'id="precision"' not in page

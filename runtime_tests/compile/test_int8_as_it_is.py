"""Where a file in int8 is proved, its integers are exposed: it has to run alike without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import pytest

from legoexport.errors import CheckFailed
from legoexport.parity.integer.walk import run_exposed
from legoexport.parity.integer.walk_file import FileWalk, IntegerGraph
from runtime_tests.compile.test_int8 import IMAGES, converted


def test_what_is_walked_has_to_be_what_users_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(model: onnx.ModelProto, names: Sequence[str], *how: Any) -> Mapping[str, Any]:
        values = run_exposed(model, names, *how)
        return values if names else {name: one + 1 for name, one in values.items()}

    model = onnx.load_from_string(converted().model_bytes)
    tables = {layer.layer: layer.frozen for layer in converted().compiled.layers}
    monkeypatch.setattr("legoexport.parity.integer.walk_file.run_exposed", run)
    with pytest.raises(CheckFailed, match="not what users run"):
        FileWalk(IntegerGraph(model, tables, unrounded=None)).run(IMAGES, threads=1)

"""What doctor says of files that convert writes in int8."""

from __future__ import annotations

import onnx
import pytest

from legoexport.doctor.model import FoldedModel
from legoexport.doctor.triggers import codes_beyond_pairs, reshapes_of_signed_integers
from runtime_tests.runtimes.int8_files import converted


@pytest.mark.parametrize(("target", "beyond"), [("cpu", False), ("cpu-vnni", True)])
def test_only_a_file_for_vnni_has_codes_whose_pairs_overflow(target: str, beyond: bool) -> None:
    model = FoldedModel(onnx.load_model_from_string(converted(target).model_bytes))
    assert bool(codes_beyond_pairs(model)) == beyond
    assert reshapes_of_signed_integers(model) == []

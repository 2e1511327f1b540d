"""Outputs of any structure and type, and what no file can give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.errors import ParityFailed, UsageError
from legoexport.models.outputs import output_names, output_tensors
from legoexport.parity.judge_exact import judge_exact
from legoexport.parity.verify import verify
from runtime_tests.compile.user_networks import EXAMPLE, After, before, lego

HEAVY = pytest.mark.heavy

ONE_OUTPUT: dict[str, tuple[Callable[[Tensor], Any], list[str]]] = {
    "argmax": (lambda y: y.argmax(1), ["output"]),
    "mask": (lambda y: (y > 0) & (y < 1), ["output"]),
    "a tuple": (lambda y: (y, y.amax((2, 3))), ["output_0", "output_1"]),
    "a list": (lambda y: [y.amax(1), y.argmin(1)], ["output_0", "output_1"]),
    "a key": (lambda y: {"scores": y.mean((2, 3))}, ["scores"]),
    "a key of the input": (lambda y: {"input": y, "b": y + 1}, ["output_0", "output_1"]),
}


@HEAVY
@pytest.mark.parametrize("name", ONE_OUTPUT)
def test_outputs_of_any_structure(name: str) -> None:
    rest, names = ONE_OUTPUT[name]
    torch.manual_seed(0)
    module = After(rest)
    for batch in (False, True):
        options = CompileOptions(dynamic_batch=batch)
        conversion = convert_module(module, EXAMPLE, options)
        graph = onnx.load_from_string(conversion.model_bytes).graph
        assert [one.name for one in graph.output] == names
        assert verify(module, conversion.model_bytes).passed


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (lambda y: y.mean(), "output does not have one entry for each entry of the batch"),
        (lambda y: (y, 3), "output_1 cannot be an output"),
        (lambda _: None, "gives nothing back"),
        (lambda y: {"z": torch.view_as_complex(y.unflatten(3, (-1, 2)))}, "z cannot be an output"),
    ],
)
def test_what_no_file_gives_is_refused(rest: Callable[[Tensor], Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        convert_module(After(rest), EXAMPLE)


def test_an_image_without_its_batch_is_refused() -> None:
    with pytest.raises(UsageError):
        convert_module(before(), EXAMPLE[0])


def test_names_of_outputs() -> None:
    x = torch.zeros(2, 1)
    assert output_names(x) == output_names([None, x]) == ("output",)
    assert output_names({"a": x, "b": None, "c": (x,)}) == ("a", "c")
    for result in ({"a": x, "b": (x, x)}, {1: x, "b": x, "c": x}, {"a/b": x, "b": x, "c": x}):
        assert output_names(result) == ("output_0", "output_1", "output_2")
    assert output_names({"a": x, "b": x}, taken=["b"]) == ("output_0", "output_1")
    assert len(output_tensors({"a": x, "b": [None, x]}, 2)) == 2


def test_integers_are_right_or_wrong() -> None:
    truth = np.array([0, 1, 2, 3])
    near = np.array([0, 1, 2, 4])
    both = [judge_exact(truth, near, actual) for actual in (truth, near)]
    assert all(one.passed and one.unsettled_count == 1 for one in both)
    for actual in (np.array([0, 1, 2, 5]), np.array([1, 1, 2, 3])):
        wrong = judge_exact(truth, near, actual)
        assert not wrong.passed
        assert wrong.top1_errors_count == 1
    huge = np.array([2**62 + 1])
    assert not judge_exact(huge, huge, huge - 1).passed, "a float64 cannot tell them apart"
    mask = np.array([True, False])
    assert judge_exact(mask, mask, mask).passed
    assert not judge_exact(mask, mask, ~mask).passed


def test_a_conversion_fails_on_a_wrong_second_output() -> None:
    class Wrong(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = lego()

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.body(x)
            exporting = torch.compiler.is_exporting()
            return y, y.argmin(1) if exporting else y.argmax(1)

    with pytest.raises(ParityFailed, match="worst output_1"):
        convert_module(Wrong(), EXAMPLE)

"""Every network of a user gets a file that is proved equal, or a message that says why not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.errors import UsageError
from legoexport.models.compute_in import computing_in
from legoexport.models.plain_copy import plain_copy
from legoexport.ort.session import RuntimeModel
from legoexport.target import COREML
from runtime_tests.compile.user_networks import CONVERTED, EXAMPLE, REFUSED, before

QUICK_COUNT = 5
LONGEST_MESSAGE_LINES = 10
# PyTorch's own way of saying that an interface of its own will go.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:torch"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore:.*deprecated"),
]


QUICK_AND_HEAVY = [
    name if place < QUICK_COUNT else pytest.param(name, marks=pytest.mark.heavy)
    for place, name in enumerate(CONVERTED)
]


@pytest.fixture
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("name", QUICK_AND_HEAVY)
def test_a_network_is_converted_and_stays_as_it_was(name: str) -> None:
    network = CONVERTED[name]()
    names_before = [name for name, _ in network.named_modules()]
    conversion = convert_module(network, EXAMPLE)
    assert conversion.agreement.passed
    assert [name for name, _ in network.named_modules()] == names_before
    (given,) = onnx.load_from_string(conversion.model_bytes).graph.input
    assert given.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_module_in_a_few_lines(name: str) -> None:
    build, words = REFUSED[name]
    with pytest.raises(UsageError, match=words) as refused:
        convert_module(build(), EXAMPLE)
    assert len(str(refused.value).splitlines()) < LONGEST_MESSAGE_LINES


def test_a_network_gets_the_opset_that_it_needs_unless_another_is_asked_for() -> None:
    network, _ = CONVERTED["fold, of opset 18"](), torch.manual_seed(0)
    assert convert_module(network, EXAMPLE).compiled.opset == 18
    with pytest.raises(UsageError, match=r"(?s)opset 17.*received: Col2Im\n.*without it"):
        convert_module(network, EXAMPLE, CompileOptions(opset=17))


def test_an_operator_that_a_target_lacks_is_named_with_its_module() -> None:
    network = nn.Sequential(before(), nn.Sequential(nn.Softsign()))
    words = r"(?s)of module 1.0 is outside what target coreml takes.*Abs.*take target cpu"
    with pytest.raises(UsageError, match=words):
        convert_module(network, EXAMPLE, CompileOptions(COREML))


@pytest.mark.parametrize(("dtype", "batch"), [(torch.float16, 1), (torch.float64, 3)])
def test_any_float_and_any_batch_serve_as_an_example(dtype: torch.dtype, batch: int) -> None:
    example = torch.zeros(batch, *EXAMPLE.shape[1:], dtype=dtype)
    conversion = convert_module(before(), example, CompileOptions(dynamic_batch=True))
    images = np.zeros((5, *EXAMPLE.shape[1:]), np.float32)
    assert RuntimeModel(conversion.model_bytes, threads=1).run(images, 5).shape[0] == 5


@pytest.mark.parametrize(
    "example",
    [
        torch.zeros(()),
        torch.zeros(0, 8, 8, 8),
        torch.zeros(1, 8, 8, 8, dtype=torch.complex64),
        (torch.zeros(1, 8, 8, 8), torch.zeros(2, 3)),
        (torch.zeros(1, 8, 8, 8), 3.0),
        (),
    ],
    ids=["no batch", "no image", "complex", "two batches", "a number", "nothing"],
)
def test_an_example_is_a_batch_of_each_input(example: Any) -> None:
    with pytest.raises(UsageError, match="the example must"):
        convert_module(before(), example)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_casts_inside_a_network_change_no_precision(dtype: torch.dtype) -> None:
    values = torch.full((3,), 1 / 3, dtype=dtype)
    with computing_in(dtype), torch.autocast("cpu", dtype=torch.bfloat16):
        for cast in (values.half().float(), values.to(torch.bfloat16), values.type_as(values)):
            assert cast.dtype == dtype
            assert torch.equal(cast, values)
        assert torch.ones(2).dtype == dtype


WRAPPED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "compiled": torch.compile,  # type: ignore[dict-item]
    "DataParallel": nn.DataParallel,
    "both": lambda network: nn.DataParallel(torch.compile(network)),  # type: ignore[type-var]
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers_come_off_inside_and_outside(name: str) -> None:
    inner = before(nn.ReLU())
    names = [name for name, _ in inner.named_modules()]
    assert [name for name, _ in plain_copy(WRAPPED[name](inner)).named_modules()] == names
    nested = plain_copy(nn.Sequential(WRAPPED[name](inner)))
    assert [name for name, _ in nested[0].named_modules()] == names  # type: ignore[index]
    assert all(one.training for one in inner.modules()), "the network itself stays as it is"

"""The exports that tests share are those of the exporter, and only of equal networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from legoexport.compile.export import export
from runtime_tests.shared_exports import SharedExports

X = torch.zeros(2, 3)


class Net(nn.Module):
    """The least network with a weight, a buffer and a setting."""

    scale: Tensor

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 4)
        self.factor = factor
        self.register_buffer("scale", torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x) * self.scale * self.factor
        return y


def options(**changed: Any) -> dict[str, Any]:
    return {"dynamic_batch": False, "opset": 18} | changed


def content(model: ir.Model) -> bytes:
    return ir.to_proto(model).SerializeToString(deterministic=True)


def with_weight(net: Net) -> Net:
    with torch.no_grad():
        net.linear.weight[0, 0] += 1e-6
    return net


def with_buffer(net: Net) -> Net:
    net.scale[1] = 2
    return net


def with_other_forward(net: Net) -> Net:
    class Other(Net):
        pass

    Other.__qualname__ = Net.__qualname__
    net.__class__ = Other
    return net


@pytest.fixture
def counted() -> tuple[SharedExports, list[nn.Module]]:
    """Shared exports, and the modules that were really exported."""
    modules: list[nn.Module] = []

    def counting(module: nn.Module, *arguments: Any, **keywords: Any) -> ir.Model:
        modules.append(module)
        return ir.Model(ir.Graph([], [], nodes=[], name=str(len(modules))), ir_version=10)

    return SharedExports(counting), modules


def test_the_second_export_is_the_exporters_and_its_callers_own() -> None:
    shared = SharedExports(export)
    first = shared(Net(), (X,), ("x",), **options())
    expected = content(export(Net(), (X,), ("x",), **options()))
    assert content(first) == expected
    for node in list(first.graph):  # as passes do
        node.op_type = "Changed"
    again = shared(Net(), (X,), ("x",), **options())
    again.graph.initializers.clear()
    assert content(shared(Net(), (X,), ("x",), **options())) == expected


def test_equal_networks_are_exported_once(counted: tuple[SharedExports, list[nn.Module]]) -> None:
    shared, modules = counted
    graphs = [shared(Net(), (X.clone(),), ("x",), **options()).graph.name for _ in range(2)]
    assert graphs == ["1", "1"]
    assert len(modules) == 1


@pytest.mark.parametrize("change", [with_weight, with_buffer, with_other_forward, nn.Module.eval])
def test_another_network_is_exported(
    counted: tuple[SharedExports, list[nn.Module]], change: Callable[[Net], Net]
) -> None:
    shared, modules = counted
    shared(Net(), (X,), ("x",), **options())
    shared(change(Net()), (X,), ("x",), **options())
    assert len(modules) == 2


@pytest.mark.parametrize(
    ("net", "x", "name", "asked"),
    [
        (Net(3.0), X, "x", options()),
        (Net(), torch.ones(2, 3), "x", options()),
        (Net(), torch.zeros(4, 3), "x", options()),
        (Net(), X, "image", options()),
        (Net(), X, "x", options(dynamic_batch=True)),
        (Net(), X, "x", options(opset=19)),
    ],
    ids=["setting", "values", "size", "name", "batch", "opset"],
)
def test_another_request_is_exported(
    counted: tuple[SharedExports, list[nn.Module]], net: Net, x: Tensor, name: str, asked: Any
) -> None:
    shared, modules = counted
    shared(Net(), (X,), ("x",), **options())
    shared(net, (x,), (name,), **asked)
    assert len(modules) == 2


def test_patched_code_is_exported(
    counted: tuple[SharedExports, list[nn.Module]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, modules = counted
    shared(Net(), (X,), ("x",), **options())
    monkeypatch.setattr(Net, "forward", lambda self, x: self.linear(x))
    shared(Net(), (X,), ("x",), **options())
    assert len(modules) == 2


def test_a_shared_storage_is_not_two(counted: tuple[SharedExports, list[nn.Module]]) -> None:
    shared, modules = counted
    tied, apart = Net(), Net()
    for net, weight in ((tied, tied.linear.weight), (apart, tied.linear.weight.clone())):
        net.register_parameter("second", nn.Parameter(weight.detach()))
        shared(net, (X,), ("x",), **options())
    assert len(modules) == 2

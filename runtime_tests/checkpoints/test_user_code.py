"""Networks that the user's own code makes: compiled ones, and code that fails."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint import read_checkpoint
from runtime_tests.checkpoints.digits import digits, holds

COMPILED = """
import torch
from legoexport.models.registry import build

class Inside(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.compile(build("lego_digits", o=2, m_ratio=0.5))

    def forward(self, x):
        return self.net(x)

def outside():
    return torch.compile(build("lego_digits", o=2, m_ratio=0.5))
"""
FAILING = """
import sys
import torch
from legoexport.models.registry import build

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = build("lego_digits", o=2, m_ratio=0.5)

    def forward(self, x):
        raise AssertionError("Torch not compiled with CUDA enabled")

def leave():
    sys.exit(0)
"""


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # torch's own
@pytest.mark.parametrize(("name", "prefix"), [("outside", ""), ("Inside", "net.")])
@pytest.mark.parametrize("compiled", ["", "_orig_mod."])
def test_a_factory_that_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, prefix: str, compiled: str
) -> None:
    (tmp_path / "compiled_nets.py").write_text(COMPILED)
    monkeypatch.chdir(tmp_path)
    state = digits().state_dict()
    torch.save({prefix + compiled + key: tensor for key, tensor in state.items()}, "w.pt")
    checkpoint = read_checkpoint("w.pt", model=f"compiled_nets:{name}", input_size=(8, 8))
    assert holds(checkpoint, {prefix + key: tensor for key, tensor in state.items()})


@pytest.mark.parametrize(
    ("name", "reason"),
    [("Net", "AssertionError: Torch not compiled with CUDA"), ("leave", "SystemExit(0)")],
)
def test_code_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    (tmp_path / "failing_nets.py").write_text(FAILING)
    monkeypatch.chdir(tmp_path)
    torch.save({f"net.{key}": each for key, each in digits().state_dict().items()}, "w.pt")
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint("w.pt", model=f"failing_nets:{name}", input_size=(8, 8))
    assert str(caught.value).startswith("w.pt: ")
    assert reason in str(caught.value)

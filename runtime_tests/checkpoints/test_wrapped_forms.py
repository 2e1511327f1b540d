"""Checkpoints as trainings save them: wrapped in prefixes, in keys, in other modules; averaged."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.optim.swa_utils import AveragedModel

from legoexport.cli import group
from legoexport.errors import CheckpointError
from legoexport.models.checkpoint import read_checkpoint
from runtime_tests.checkpoints.digits import FORMATS, digits, holds, read
from runtime_tests.checkpoints.published import published_network, save_published

PREFIXES = ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module.", "model.", "net.",
            "model._orig_mod.", "module.model.", "model.module.", "net.model."]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("key", [None, "state_dict"])
def test_prefix(tmp_path: Path, prefix: str, key: str | None) -> None:
    state = digits().state_dict()
    saved = {prefix + name: tensor for name, tensor in state.items()}
    torch.save({key: saved, "epoch": 3} if key else saved, tmp_path / "w.pt")
    assert holds(read(tmp_path / "w.pt"), state)


def test_prefix_of_a_published_network(tmp_path: Path) -> None:
    state = published_network().state_dict()
    torch.save({f"module._orig_mod.{k}": v for k, v in state.items()}, tmp_path / "w.pt")
    assert read_checkpoint(tmp_path / "w.pt").form == "published state_dict"


def test_layers_compiled_one_by_one(tmp_path: Path) -> None:
    state = digits().state_dict()
    torch.save({k.replace(".", "._orig_mod.", 1): v for k, v in state.items()}, tmp_path / "w.pt")
    assert holds(read(tmp_path / "w.pt"), state)


def test_names_that_meet_without_the_prefix(tmp_path: Path) -> None:
    state = digits().state_dict()
    name = next(iter(state))
    torch.save({**state, f"_orig_mod.{name}": state[name]}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="one name"):
        read(tmp_path / "w.pt")


FACTORY = """
from torch import nn
from legoexport.models.registry import build

class Wrapper(nn.Module):
    def __init__(self):
        super().__init__()
        self.{name} = build("lego_digits", o=2, m_ratio=0.5)

    def forward(self, x):
        return self.{name}(x)
"""


@pytest.mark.parametrize("name", ["model", "net", "module", "inner"])
@pytest.mark.parametrize("prefix", ["", "model.", "module.", "_orig_mod."])
def test_prefix_that_is_the_network_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, prefix: str
) -> None:
    module = f"wrapper_{name}_{PREFIXES.index(prefix) if prefix else 'bare'}"
    (tmp_path / f"{module}.py").write_text(FACTORY.format(name=name))
    monkeypatch.chdir(tmp_path)
    state = {f"{name}.{key}": tensor for key, tensor in digits().state_dict().items()}
    torch.save({prefix + key: tensor for key, tensor in state.items()}, "w.pt")
    checkpoint = read_checkpoint("w.pt", model=f"{module}:Wrapper", input_size=(8, 8))
    assert holds(checkpoint, state)


AVERAGES = ["ema", "state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict"]


@pytest.mark.parametrize("model_key", ["state_dict", "model", "net", "model_state_dict"])
@pytest.mark.parametrize("average_key", AVERAGES)
def test_averaged_weights_beside_the_model_s(
    tmp_path: Path, model_key: str, average_key: str
) -> None:
    model, average = digits(1).state_dict(), digits(2).state_dict()
    torch.save({average_key: average, model_key: model, "epoch": 3}, tmp_path / "w.pt")
    taken = read(tmp_path / "w.pt")
    assert holds(taken, model)
    assert model_key in taken.notes[0]
    assert average_key in taken.notes[0]
    assert holds(read(tmp_path / "w.pt", weights="model"), model)
    asked = read(tmp_path / "w.pt", weights="ema")
    assert holds(asked, average)
    assert average_key in asked.notes[0]


def test_averaged_weights_alone_or_nested(tmp_path: Path) -> None:
    average = digits(2).state_dict()
    for value in ({"ema": average}, {"ema": {"module": average, "updates": 7}}):
        torch.save(value, tmp_path / "w.pt")
        taken = read(tmp_path / "w.pt")
        assert holds(taken, average)
        assert "averaged weights" in taken.notes[0]


def test_averaged_weights_that_are_not_there(tmp_path: Path) -> None:
    torch.save({"state_dict": digits().state_dict()}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="no averaged weights"):
        read(tmp_path / "w.pt", weights="ema")


def test_the_command_line_says_which_weights_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"model": digits(1).state_dict(), "ema": digits(2).state_dict()}, path)
    options = ["inspect", str(path), "--arch", "lego_digits", "--set", "o=2", "--json"]
    result = CliRunner().invoke(group, options)
    assert "--weights ema takes" in result.stderr
    result = CliRunner().invoke(group, [*options, "--weights", "ema"])
    assert result.exit_code == 0
    assert "averaged weights taken, those under 'ema'" in result.stderr
    assert result.stdout.startswith("{")


def test_average_of_torch(tmp_path: Path) -> None:
    network = digits()
    torch.save(AveragedModel(network).state_dict(), tmp_path / "w.pt")
    assert holds(read(tmp_path / "w.pt"), network.state_dict())


@FORMATS
def test_whole_model_under_data_parallel(tmp_path: Path, zipped: bool) -> None:
    network = published_network()
    path = save_published(nn.DataParallel(network), tmp_path / "w.pt", zipped=zipped)
    checkpoint = read_checkpoint(path)
    assert checkpoint.form == "published pickled model"
    weight = checkpoint.module.state_dict()["classifier.weight"]
    assert torch.equal(weight, network.classifier.weight)

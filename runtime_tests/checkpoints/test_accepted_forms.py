"""Every form that needs no explanation is read, and computes what the saved network did."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from runtime_tests.checkpoints.published import (
    PAPER_WIDTHS,
    PUBLISHED_WIDTHS,
    published_network,
    save_published,
)

DIGITS = {"o": 2, "m_ratio": 0.5}
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def difference(ours: nn.Module, theirs: nn.Module, shape: tuple[int, int, int]) -> float:
    """Largest difference of the outputs in float64, relative to the largest output."""
    image = torch.randn(3, *shape, dtype=torch.float64, generator=torch.manual_seed(1))
    with torch.no_grad():
        received, expected = ours.double()(image), theirs.double()(image)
    return float((received - expected).abs().max() / expected.abs().max())


@FORMATS
@pytest.mark.parametrize(("o", "ratio", "classes"), [(8, 1 / 32, 10), (4, 0.05, 3)])
def test_published_pickled_model(
    tmp_path: Path, zipped: bool, o: int, ratio: float, classes: int
) -> None:
    network = published_network(o=o, ratio=ratio, classes=classes)
    checkpoint = read_checkpoint(save_published(network, tmp_path / "weights.pth", zipped=zipped))
    assert checkpoint.form == "published pickled model"
    assert checkpoint.container == ("zip" if zipped else "legacy")
    assert checkpoint.arch == "lego_vgg16"
    assert checkpoint.input_shape == (3, 32, 32)
    assert not checkpoint.module.training
    assert difference(checkpoint.module, network, checkpoint.input_shape) < 1e-12


# Every two of key, widths and format meet.
STATES = [
    (key, widths, zipped ^ (position % 2 == 1))
    for position, key in enumerate([None, "state_dict", "model", "net", "model_state_dict"])
    for widths, zipped in ((PUBLISHED_WIDTHS, True), (PAPER_WIDTHS, False))
]


@pytest.mark.parametrize(
    ("key", "widths", "zipped"),
    STATES,
    ids=[f"{key}-{len(widths)}-{'zip' if zipped else 'legacy'}" for key, widths, zipped in STATES],
)
def test_published_state_dict(
    tmp_path: Path, key: str | None, widths: tuple[int, ...], zipped: bool
) -> None:
    network = published_network(widths=widths)
    state = network.state_dict()
    saved = {"rng": torch.zeros(8, dtype=torch.uint8), key: state} if key else state
    checkpoint = read_checkpoint(save_published(saved, tmp_path / "weights.pth", zipped=zipped))
    assert checkpoint.form == "published state_dict"
    assert difference(checkpoint.module, network, checkpoint.input_shape) < 1e-12


def test_prefix_of_a_parallel_network(tmp_path: Path) -> None:
    network = published_network()
    torch.save(nn.DataParallel(network).state_dict(), tmp_path / "weights.pth")
    checkpoint = read_checkpoint(tmp_path / "weights.pth")
    assert difference(checkpoint.module, network, checkpoint.input_shape) < 1e-12


def test_model_under_a_key(tmp_path: Path) -> None:
    network = published_network()
    path = save_published({"net": network, "acc": 93.1}, tmp_path / "ckpt.t7", zipped=False)
    assert read_checkpoint(path).form == "published pickled model"


def test_published_state_dict_in_safetensors(tmp_path: Path) -> None:
    network = published_network()
    safetensors.torch.save_file(network.state_dict(), tmp_path / "weights.safetensors")
    checkpoint = read_checkpoint(tmp_path / "weights.safetensors")
    assert (checkpoint.form, checkpoint.container) == ("published state_dict", "safetensors")
    assert difference(checkpoint.module, network, checkpoint.input_shape) < 1e-12


@pytest.mark.parametrize("pickle_protocol", [2, 4, 5])
def test_later_pickle_protocols(tmp_path: Path, pickle_protocol: int) -> None:
    state = published_network().state_dict()
    torch.save(state, tmp_path / "weights.pth", pickle_protocol=pickle_protocol)
    assert read_checkpoint(tmp_path / "weights.pth").form == "published state_dict"


@pytest.mark.parametrize("name", ["digits.pt", "digits.safetensors"])
def test_own_checkpoint(tmp_path: Path, name: str) -> None:
    network = build("lego_digits", **DIGITS).eval()
    write_checkpoint(
        tmp_path / name, network, arch="lego_digits", hyperparameters=DIGITS, training={"epochs": 3}
    )
    checkpoint = read_checkpoint(tmp_path / name)
    assert (checkpoint.form, checkpoint.arch) == ("legoexport", "lego_digits")
    assert checkpoint.hyperparameters == DIGITS
    assert difference(checkpoint.module, network, checkpoint.input_shape) == 0
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_own_checkpoint_is_plain_for_torch(tmp_path: Path) -> None:
    network = build("lego_digits", **DIGITS)
    write_checkpoint(tmp_path / "d.pt", network, arch="lego_digits", hyperparameters=DIGITS)
    facts = torch.load(tmp_path / "d.pt", weights_only=True)
    assert (facts["format"], facts["arch"]) == ("legoexport", "lego_digits")


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    network = build("lego_digits", **DIGITS)
    for name in ("a.pt", "b.pt"):
        write_checkpoint(tmp_path / name, network, arch="lego_digits", hyperparameters=DIGITS)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_named_architecture(tmp_path: Path) -> None:
    network = build("lego_digits", **DIGITS).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    checkpoint = read_checkpoint(
        tmp_path / "weights.pt", arch="lego_digits", hyperparameters=DIGITS
    )
    assert checkpoint.form == "state_dict"
    assert difference(checkpoint.module, network, checkpoint.input_shape) == 0


FACTORY = """
from torch import nn
from legoexport.models.registry import build

def network(o=2):
    return nn.Sequential(build("lego_digits", o=o, m_ratio=0.5))
"""


@pytest.mark.parametrize("own", [True, False])
def test_network_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool) -> None:
    (tmp_path / "my_nets.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    network = nn.Sequential(build("lego_digits", o=4, m_ratio=0.5)).eval()
    settings: Mapping[str, object] = {"o": 4}
    if own:
        write_checkpoint(Path("w.pt"), network, arch="my_nets:network", hyperparameters=settings)
    else:
        torch.save(network.state_dict(), "w.pt")
    checkpoint = read_checkpoint(
        "w.pt",
        model="my_nets:network",
        hyperparameters=None if own else settings,
        input_size=(8, 8),
    )
    assert checkpoint.arch == "my_nets:network"
    assert checkpoint.input_shape == (1, 8, 8)
    assert difference(checkpoint.module, network, checkpoint.input_shape) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    network = published_network().to(dtype)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    checkpoint = read_checkpoint(tmp_path / "weights.pth")
    assert checkpoint.stored_dtypes == (str(dtype),)
    state = checkpoint.module.state_dict()
    assert {value.dtype for value in state.values()} == {torch.float32, torch.int64}
    assert torch.equal(state["classifier.weight"], network.classifier.weight.float())


def test_tensors_that_share_and_stride(tmp_path: Path) -> None:
    network = published_network()
    state = network.state_dict()
    flat = torch.randn(2, 512 * 10)
    state["classifier.weight"] = flat[1].view(512, 10).t()
    state["classifier.bias"] = flat[0, 10:20]
    torch.save(state, tmp_path / "weights.pth")
    loaded = read_checkpoint(tmp_path / "weights.pth").module.state_dict()
    assert torch.equal(loaded["classifier.weight"], state["classifier.weight"])
    assert torch.equal(loaded["classifier.bias"], state["classifier.bias"])

"""A checkpoint that cannot be used says what is wrong: the file, the layer, what is legal."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from runtime_tests.checkpoints.published import published_network, save_published

DIGITS = {"o": 2, "m_ratio": 0.5}
State = dict[str, Tensor]


def refusal(path: Path, **named: object) -> str:
    """The message of the error that reading raises; it names the file."""
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path, **named)  # type: ignore[arg-type]
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def saved(tmp_path: Path, value: object) -> Path:
    torch.save(value, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def test_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "weights.pth")


def test_directory(tmp_path: Path) -> None:
    assert "is not a file" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"hello, I am no checkpoint", "bytes of no known kind"),
        (b"PK\x03\x04 and nothing more", "a zip archive that ends early"),
        (b"\x80\x02K\x01.", "a pickle that torch.save did not write"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7f{}", "a safetensors header of"),
        (b"\x02\0\0\0\0\0\0\0{]", "JSON that is damaged"),
    ],
)
def test_no_checkpoint(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    assert reason in refusal(tmp_path / "weights.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
def test_truncated(tmp_path: Path, zipped: bool, share: float) -> None:
    path = save_published(published_network(), tmp_path / "weights.pth", zipped=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "ends early" in refusal(path)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([1, 2, 3], "a list"),
        ({"epoch": 3, "best": 0.9}, "epoch, best"),
        ({"state_dict": {"epoch": 3}}, "epoch"),
        ({"a": torch.zeros(2), "b": 3}, "'b'"),
        ({"a": torch.zeros(2)}, "--arch"),
        ({"format": "legoexport", "version": 99}, "99"),
        ({"format": "legoexport", "version": 1, "arch": 3}, "which network"),
    ],
)
def test_no_weights(tmp_path: Path, value: object, reason: str) -> None:
    assert reason in refusal(saved(tmp_path, value))


def without(layer: str) -> Callable[[State], State]:
    return lambda state: {k: v for k, v in state.items() if not k.startswith(layer)}


def replaced(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    return lambda state: state | {name: change(state[name])}


def poisoned(value: float) -> Callable[[Tensor], Tensor]:
    return lambda tensor: tensor.clone().index_fill_(0, torch.tensor([0]), value)


@pytest.mark.parametrize(
    ("damage", "reasons"),
    [
        (without("features.3."), ["features.3.lego", "lacks"]),
        (without("classifier.bias"), ["classifier.bias", "1 of them"]),
        (without("classifier.weight"), ["classifier.weight"]),
        (without("features.0."), ["features.0.weight"]),
        (lambda state: state | {"extra.weight": torch.zeros(3)}, ["extra.weight"]),
        (
            replaced("features.3.lego", lambda t: t[:, :-1].clone()),
            ["features.3.lego", "(2, 7, 3, 3)", "(2, 8, 3, 3)"],
        ),
        (
            replaced("features.1.weight", lambda t: t[:-1].clone()),
            ["features.1.weight", "(63,)", "(64,)"],
        ),
        (replaced("features.3.aux_combination", lambda t: t[0]), ["(o, n, m, 1, 1)"]),
        (replaced("features.0.weight", poisoned(float("nan"))), ["features.0.weight", "NaN"]),
        (replaced("features.6.lego", poisoned(float("inf"))), ["features.6.lego", "infinite"]),
        (replaced("features.1.running_var", poisoned(float("inf"))), ["features.1.running_var"]),
        (
            replaced("classifier.bias", lambda t: t.double() + 1e300),
            ["classifier.bias", "float32"],
        ),
        (
            replaced("features.0.weight", lambda t: t.to(torch.int64)),
            ["features.0.weight", "torch.int64", "torch.float32"],
        ),
        (
            replaced("features.1.num_batches_tracked", lambda t: t.float()),
            ["features.1.num_batches_tracked", "torch.float32"],
        ),
    ],
)
def test_state_that_does_not_fit(
    tmp_path: Path, damage: Callable[[State], State], reasons: list[str]
) -> None:
    message = refusal(saved(tmp_path, damage(published_network().state_dict())))
    assert all(reason in message for reason in reasons), message


def test_fragments_that_do_not_divide_the_channels(tmp_path: Path) -> None:
    network = published_network(o=3)
    for value in (network, network.state_dict()):
        message = refusal(save_published(value, tmp_path / "weights.pth", zipped=False))
        assert "features.3" in message
        assert "o = 3" in message
        assert "64" in message


def test_pickled_model_that_works_in_another_way(tmp_path: Path) -> None:
    network = published_network()
    norm = network.features[1]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.eps = 0.5
    message = refusal(save_published(network, tmp_path / "weights.pth", zipped=True))
    assert "features.1" in message
    assert "eps 0.5" in message


def test_pickled_model_of_torch_alone(tmp_path: Path) -> None:
    message = refusal(saved(tmp_path, nn.Sequential(nn.Linear(2, 2))))
    assert "torch.nn.modules.container.Sequential" in message


def test_torchscript(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    archive = torch._C.PyTorchFileWriter(str(path))
    for name in ("data.pkl", "constants.pkl"):
        archive.write_record(name, b"\x80\x02}.", 4)
    archive.write_end_of_file()
    assert "TorchScript" in refusal(path)


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ({"arch": "no_such_network"}, "no_such_network"),
        ({"arch": "vgg16"}, "no Lego layers"),
        ({"arch": "lego_digits", "hyperparameters": {"o": 3, "m_ratio": 0.5}}, "lego_digits"),
        ({"arch": "lego_digits", "hyperparameters": {"oh": 2}}, "oh"),
        ({"arch": "lego_digits", "model": "nets:make"}, "name one"),
        ({"model": "no_such_module:make", "input_size": (8, 8)}, "no_such_module"),
        ({"model": "collections:OrderedDict", "input_size": (8, 8)}, "nn.Module"),
        ({"model": "collections:OrderedDict"}, "--input-size"),
        ({"model": "torch.nn:Identity", "input_size": (8, 8)}, "no Lego layers"),
    ],
)
def test_wrong_network_named(tmp_path: Path, named: dict[str, object], reason: str) -> None:
    state = build("lego_digits", **DIGITS).state_dict()
    assert reason in refusal(saved(tmp_path, state), **named)


def test_input_size_that_the_network_cannot_take(tmp_path: Path) -> None:
    assert "(3, 8, 8)" in refusal(
        saved(tmp_path, published_network().state_dict()), input_size=(8, 8)
    )


@pytest.mark.parametrize(
    ("absurd", "reason"),
    [
        ({"classes": 10**12}, "classifier"),
        ({"classes": 2**62}, "hyper-parameter classes"),
        ({"classes": 2**2000}, "hyper-parameter classes"),
        ({"m_ratio": 1e300}, "hyper-parameter m_ratio"),
        ({"m_ratio": float("inf")}, "hyper-parameter m_ratio"),
        ({"m_ratio": 2**40}, "hyper-parameter m_ratio"),
        ({"m_ratio": 2.0**20}, "wrong shape"),
        ({"o": 2**40}, "o"),
        ({"arch": "digits"}, "unknown hyper-parameter"),
        ({"": 1}, "unknown hyper-parameter"),
    ],
)
def test_absurd_hyperparameters_cost_nothing(
    tmp_path: Path, absurd: dict[str, object], reason: str
) -> None:
    network = build("lego_digits", **DIGITS)
    settings = {**DIGITS, **absurd}
    write_checkpoint(tmp_path / "d.pt", network, arch="lego_digits", hyperparameters=settings)
    assert reason in refusal(tmp_path / "d.pt")


def test_code_that_a_file_names_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    network = build("lego_digits", **DIGITS)
    write_checkpoint(tmp_path / "d.pt", network, arch="trap:make", hyperparameters={})
    assert "--model trap:make" in refusal(tmp_path / "d.pt")

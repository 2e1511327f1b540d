"""Other types of weights, and whatever trainings save beside them, stand in nobody's way."""

import argparse
import collections
import datetime
import decimal
import fractions
import pathlib
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from legoexport.errors import CheckpointError
from runtime_tests.checkpoints.digits import FORMATS, digits, holds, read


@FORMATS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types(tmp_path: Path, zipped: bool, dtype: torch.dtype) -> None:
    state = digits().to(dtype).state_dict()
    torch.save(state, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    checkpoint = read(tmp_path / "w.pt")
    assert checkpoint.stored_dtypes == (str(dtype),)
    assert holds(checkpoint, state)


@FORMATS
def test_tensors_of_a_gpu(tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    state = digits().state_dict()
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _storage: "cuda:1")
    torch.save(state, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    assert b"cuda:1" in (tmp_path / "w.pt").read_bytes()
    assert holds(read(tmp_path / "w.pt"), state)


@FORMATS
def test_views_that_share_a_storage(tmp_path: Path, zipped: bool) -> None:
    state = digits().state_dict()
    names = [name for name, tensor in state.items() if tensor.is_floating_point()]
    flat = torch.cat([state[name].flatten() for name in names])
    pieces = flat.split([state[name].numel() for name in names])
    views = {name: piece.view(state[name].shape) for name, piece in zip(names, pieces, strict=True)}
    torch.save(state | views, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    assert holds(read(tmp_path / "w.pt"), state)


def test_counters_that_early_versions_of_torch_did_not_save(tmp_path: Path) -> None:
    state = digits().state_dict()
    saved = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    assert len(saved) < len(state)
    torch.save(saved, tmp_path / "w.pt")
    checkpoint = read(tmp_path / "w.pt")
    assert holds(checkpoint, state)
    assert "num_batches_tracked" in checkpoint.notes[0]


class Settings(collections.OrderedDict[str, object]):
    """As configuration libraries have them."""


class Arguments:
    """As a script keeps them."""

    def __init__(self) -> None:
        self.rate = 0.1


BESIDE: dict[str, Callable[[], object]] = {
    "numpy float": lambda: np.float64(0.93),
    "numpy integer": lambda: np.int32(7),
    "numpy bool": lambda: np.bool_(True),
    "numpy array": lambda: np.arange(6.0).reshape(2, 3),
    "numpy state": lambda: np.random.RandomState(0).get_state(),
    "namespace": lambda: argparse.Namespace(lr=0.1, data=pathlib.Path("/data"), gpus=[0, 1]),
    "path": lambda: pathlib.PurePosixPath("/data/digits"),
    "windows path": lambda: pathlib.PureWindowsPath("C:/data"),
    "datetime": lambda: datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    "timedelta": lambda: datetime.timedelta(seconds=3),
    "defaultdict": lambda: collections.defaultdict(list, loss=[0.1, 0.2]),
    "deque": lambda: collections.deque([1, 2, 3], maxlen=5),
    "counter": lambda: collections.Counter("abca"),
    "set": lambda: {1, 2, 3},
    "frozenset": lambda: frozenset({1, 2}),
    "complex": lambda: 1j,
    "large integer": lambda: 2**4000,
    "decimal": lambda: decimal.Decimal("0.1"),
    "fraction": lambda: fractions.Fraction(1, 3),
    "uuid": lambda: uuid.UUID(int=7),
    "dtype": lambda: torch.float16,
    "device": lambda: torch.device("cuda:0"),
    "size": lambda: torch.Size([1, 2]),
    "bytes": lambda: b"abc",
    "tuple as a key": lambda: {(0, 1): 2},
    "dictionary of the user's class": lambda: Settings(rate=0.1, nested=Settings(o=2)),
    "object of the user's class": Arguments,
    "optimizer": lambda: torch.optim.Adam(digits().parameters()).state_dict(),
    "parameter": lambda: nn.Parameter(torch.zeros(3)),
}


@FORMATS
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("what", BESIDE)
def test_things_beside_the_weights(tmp_path: Path, what: str, protocol: int, zipped: bool) -> None:
    state = digits().state_dict()
    torch.save(
        {"extra": BESIDE[what](), "state_dict": state},
        tmp_path / "w.pt",
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=zipped,
    )
    assert holds(read(tmp_path / "w.pt"), state)


@FORMATS
def test_weights_in_a_dictionary_of_the_user_s_class(tmp_path: Path, zipped: bool) -> None:
    state = digits().state_dict()
    torch.save(Settings(state), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    assert holds(read(tmp_path / "w.pt"), state)


def test_whole_object_of_the_user_s_class(tmp_path: Path) -> None:
    torch.save(Arguments(), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"Arguments[^$]*model.state_dict"):
        read(tmp_path / "w.pt")


LEFT_EMPTY: dict[str, object] = {
    "an optimizer": {"optimizer": {}, "state_dict": None},
    "an average": {"ema": {}},
    "a state of no tensors": {"optimizer": {"state": {}, "param_groups": []}, "scheduler": None},
    "weights under another key": {"net": {}, "state_dict": {}, "ema": None},
    "lists": {"history": [], "classes": ()},
}


@FORMATS
@pytest.mark.parametrize("what", LEFT_EMPTY)
def test_things_left_empty_are_knowingly_ignored(tmp_path: Path, what: str, zipped: bool) -> None:
    state = digits().state_dict()
    content = {**LEFT_EMPTY[what], "model": state}  # type: ignore[dict-item]
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    checkpoint = read(tmp_path / "w.pt")
    assert holds(checkpoint, state)
    assert checkpoint.notes == ()


def test_an_average_that_is_empty_is_none(tmp_path: Path) -> None:
    torch.save({"model": digits().state_dict(), "ema": {}}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="no averaged weights"):
        read(tmp_path / "w.pt", weights="ema")


@FORMATS
def test_empty_entries_among_the_weights_are_told(tmp_path: Path, zipped: bool) -> None:
    state = digits().state_dict()
    content = {**state, "features.0._extra_state": None, "head._extra_state": {}}
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    checkpoint = read(tmp_path / "w.pt")
    assert holds(checkpoint, state)
    told = "empty entries left out: features.0._extra_state, head._extra_state"
    assert checkpoint.notes == (told,)


@pytest.mark.parametrize("content", [{"model": {}}, {"state_dict": {}, "ema": {}}, {}])
def test_a_file_of_empty_things_holds_no_weights(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="holds no weights"):
        read(tmp_path / "w.pt")

"""``legoexport.parity.verify``: what it takes, and that it reads and opens each thing once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from legoexport.cli import main
from legoexport.errors import UsageError
from legoexport.models.checkpoint import read_checkpoint, write_checkpoint
from legoexport.models.registry import build
from legoexport.ort.session import RuntimeModel
from legoexport.parity.bundle import read_bundle, replay, save_bundle
from legoexport.parity.judge import combine
from legoexport.parity.verify import verify
from runtime_tests.parity.networks import INPUT_SHAPE, LAYER_NAMES, converted

_OPENED: list[str] = []
_is_counting = False


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if _is_counting and event == "open":
        _OPENED.append(str(arguments[0]))


sys.addaudithook(_note)


@contextmanager
def counted_reads() -> Iterator[Counter[str]]:
    """Count how often each file is opened, by whatever means."""
    global _is_counting  # noqa: PLW0603 - an audit hook stays for good
    counts: Counter[str] = Counter()
    _OPENED.clear()
    _is_counting = True
    try:
        yield counts
    finally:
        _is_counting = False
        counts.update(Path(name).name for name in _OPENED)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The graphs that ONNX Runtime is given, one for each session."""
    given: list[bytes] = []
    make = onnxruntime.InferenceSession

    def noted(model: bytes, *arguments: object, **keywords: object) -> object:
        given.append(model)
        return make(model, *arguments, **keywords)

    monkeypatch.setattr(onnxruntime, "InferenceSession", noted)
    return given


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, *INPUT_SHAPE)).astype(np.float32)


def test_the_file_is_opened_in_one_session(sessions: list[bytes]) -> None:
    file = converted("grouped")
    model_bytes = file.model.SerializeToString()
    assert verify(file.net, model_bytes).passed
    assert sessions.count(model_bytes) == 1
    # The others run other graphs: one shows values inside, and each layer is cut out.
    assert len(sessions) == 1 + 1 + len(LAYER_NAMES)
    assert len(set(sessions)) == len(sessions)


@pytest.mark.parametrize("size", [8, 10])
def test_the_command_reads_each_file_once(
    tmp_path: Path, size: int, sessions: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    hyperparameters = {"o": 4, "m_ratio": 0.25}
    net = build("lego_digits", **hyperparameters)
    checkpoint, model = tmp_path / "once.pt", tmp_path / "once.onnx"
    write_checkpoint(checkpoint, net, arch="lego_digits", hyperparameters=hyperparameters)
    sized = ["--input-size", str(size), str(size)]
    with pytest.raises(SystemExit):
        main(["convert", str(checkpoint), "--out", str(model), *sized])
    sessions.clear()
    with counted_reads() as reads, pytest.raises(SystemExit) as ended:
        main(["verify", str(checkpoint), str(model), "--save-bundle", str(tmp_path / "bundle")])
    assert ended.value.code == 0, capsys.readouterr().err
    assert (reads["once.pt"], reads["once.onnx"]) == (1, 1)
    assert sessions.count(model.read_bytes()) == 1


def test_a_model_is_a_path_or_bytes_and_images_a_file_or_an_array(tmp_path: Path) -> None:
    file = converted("grouped")
    model, data = tmp_path / "m.onnx", tmp_path / "real.npy"
    model.write_bytes(file.model.SerializeToString())
    np.save(data, images(5))
    by_path = verify(file.net, str(model), data=data).agreements
    by_value = verify(file.net, model.read_bytes(), data=images(5)).agreements
    *drawn, real = by_path
    assert real == "images of real.npy"
    assert list(by_value) == [*drawn, "images given"]
    assert by_value["images given"] == by_path[real]


def test_a_checkpoint_is_verified_at_the_size_of_the_model(tmp_path: Path) -> None:
    hyperparameters = {"o": 4, "m_ratio": 0.25}
    net = build("lego_digits", **hyperparameters)
    path, model = tmp_path / "c.pt", tmp_path / "m.onnx"
    write_checkpoint(path, net, arch="lego_digits", hyperparameters=hyperparameters)
    with pytest.raises(SystemExit):
        main(["convert", str(path), "--out", str(model), "--input-size", "10", "10"])
    checkpoint = read_checkpoint(path)
    assert checkpoint.input_shape == (1, 8, 8)
    found = verify(checkpoint, model)
    assert found.passed
    assert found.notes == ()
    other = build("lego_digits", o=4, m_ratio=0.25)
    write_checkpoint(tmp_path / "o.pt", other, arch="lego_digits", hyperparameters=hyperparameters)
    assert "another checkpoint" in verify(read_checkpoint(tmp_path / "o.pt"), model).notes[0]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    file = converted("grouped")
    with pytest.raises(UsageError, match="cannot read"):
        verify(file.net, tmp_path / "missing.onnx")
    with pytest.raises(UsageError, match="not an ONNX model"):
        verify(file.net, b"nothing")
    with pytest.raises(UsageError, match="data does not fit the network"):
        verify(file.net, file.model.SerializeToString(), data=images(5)[:, :1])


def test_a_verification_is_all_that_a_bundle_needs(tmp_path: Path) -> None:
    file = converted("grouped")
    model_bytes = file.model.SerializeToString()
    found = verify(file.net, model_bytes, data=images(5))
    save_bundle(tmp_path / "bundle", model_bytes, found.golden)
    sets = read_bundle(tmp_path / "bundle", model_bytes)
    replayed = replay(sets, RuntimeModel(model_bytes, threads=1))
    assert {name: one.limit for name, one in replayed.items()} == {
        name: one.limit for name, one in found.agreements.items()
    }
    assert combine(replayed).passed

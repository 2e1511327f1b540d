"""Bundles: what they refuse, and that they need no PyTorch."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from legoexport.errors import ParityFailed, UsageError
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.bundle import check_vacant, read_bundle, replay, save_bundle
from legoexport.parity.judge import combine
from legoexport.parity.verify import Verification, verify
from runtime_tests.parity.networks import converted

BLOCK_TORCH = """
import sys
sys.modules["torch"] = None
from legoexport.cli import main
main(sys.argv[1:])
"""


@lru_cache
def checked() -> tuple[bytes, Verification]:
    """A file and the verdict on it."""
    model_bytes = converted("grouped").model.SerializeToString()
    return model_bytes, verify(converted("grouped").net, model_bytes)


@pytest.fixture
def model_bytes() -> bytes:
    return checked()[0]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    model_bytes, verdict = checked()
    save_bundle(tmp_path / "bundle", model_bytes, verdict.golden)
    return tmp_path / "bundle"


def replay_bundle(bundle: Path, model_bytes: bytes) -> dict[str, Agreement]:
    return replay(read_bundle(bundle, model_bytes), RuntimeModel(model_bytes, 1))


def replay_without_torch(bundle: Path, model: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCK_TORCH, "verify", "--bundle", str(bundle), str(model)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_bundle_replays_without_torch(tmp_path: Path, bundle: Path, model_bytes: bytes) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(model_bytes)
    done = replay_without_torch(bundle, model)
    assert done.returncode == 0, done.stderr
    assert "parity reached over 24 images" in done.stdout
    model.write_bytes(model_bytes + b"\0")
    done = replay_without_torch(bundle, model)
    assert done.returncode == 1
    assert "not the one that the bundle was made for" in done.stderr
    assert "Traceback" not in done.stderr


def test_limits_are_those_of_the_check(bundle: Path, model_bytes: bytes) -> None:
    live, replayed = checked()[1].agreements, replay_bundle(bundle, model_bytes)
    assert list(live) == list(replayed)
    for name, agreement in replayed.items():
        assert agreement.limit == live[name].limit
        # The golden outputs are rounded to float32: half an ulp of outputs below 32.
        assert agreement.max_abs_error == pytest.approx(live[name].max_abs_error, abs=1e-6)


def test_a_wrong_model_under_the_right_digest_fails(bundle: Path) -> None:
    model = converted("grouped").copy()
    bias = next(t for t in model.graph.initializer if t.name == "classifier.bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + 1, bias.name))
    changed = model.SerializeToString()
    record = json.loads((bundle / "bundle.json").read_text())
    with pytest.raises(ParityFailed, match="not the one"):
        replay_bundle(bundle, changed)
    del record["record_sha256"]
    record["model_sha256"] = hashlib.sha256(changed).hexdigest()
    (bundle / "bundle.json").write_text(json.dumps(record))
    assert not combine(replay_bundle(bundle, changed)).passed


def test_a_limit_that_was_changed_is_noticed(bundle: Path, model_bytes: bytes) -> None:
    record = json.loads((bundle / "bundle.json").read_text())
    record["sets"][0]["outputs"][0]["limit"] *= 100
    (bundle / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match=r"bundle\.json was changed after the bundle was saved"):
        replay_bundle(bundle, model_bytes)


@pytest.mark.parametrize("change", [{"batch_size": 0}, {"batch_size": -1}, {"inputs": []}])
def test_an_older_record_that_runs_nothing_is_refused(
    bundle: Path, model_bytes: bytes, change: dict[str, object]
) -> None:
    record = json.loads((bundle / "bundle.json").read_text())
    del record["record_sha256"]
    record["sets"][0] |= change
    (bundle / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="is not a bundle"):
        replay_bundle(bundle, model_bytes)


@pytest.mark.parametrize("name", ["bundle.json", "arrays.npz"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1, 2]", b"PK\x03\x04 nothing"])
def test_a_damaged_bundle_is_refused(
    bundle: Path, model_bytes: bytes, name: str, content: bytes | None
) -> None:
    (bundle / name).unlink()
    if content is not None:
        (bundle / name).write_bytes(content)
    with pytest.raises(UsageError, match="is not a bundle"):
        replay_bundle(bundle, model_bytes)


def test_one_flipped_bit_in_the_arrays_is_noticed(bundle: Path, model_bytes: bytes) -> None:
    content = bytearray((bundle / "arrays.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "arrays.npz").write_bytes(content)
    with pytest.raises(UsageError, match="digest"):
        replay_bundle(bundle, model_bytes)


def test_a_folder_in_use_is_left_alone(tmp_path: Path, model_bytes: bytes) -> None:
    folder = tmp_path / "used"
    folder.mkdir()
    (folder / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="holds something"):
        save_bundle(folder, model_bytes, [])
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    with pytest.raises(UsageError, match="does not exist"):
        save_bundle(tmp_path / "missing" / "bundle", model_bytes, [])
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_no_folder_can_be_there(tmp_path: Path) -> None:
    circle, too_long = tmp_path / "circle", tmp_path / ("a" * 300)
    circle.symlink_to(circle)
    with pytest.raises(UsageError, match="leads to itself"):
        check_vacant(circle)
    with pytest.raises(UsageError, match="name too long"):
        check_vacant(too_long)


def test_an_empty_folder_is_taken(tmp_path: Path, bundle: Path, model_bytes: bytes) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    save_bundle(empty, model_bytes, checked()[1].golden)
    assert combine(replay_bundle(empty, model_bytes)).passed
    with np.load(empty / "arrays.npz") as ours, np.load(bundle / "arrays.npz") as theirs:
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs.files)

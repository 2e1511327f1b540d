"""What a site holds, what it refuses, and that a refusal leaves everything as it was."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from legoexport.errors import ParityFailed, UsageError
from legoexport.lego.normalization import Normalization
from legoexport.parity.bundle import read_bundle, save_bundle
from legoexport.web.packages import LOADED_FILES, RUNTIME_FILES
from legoexport.web.pixels import Pixels, read_pixels
from legoexport.web.site import PAGE, SiteOptions, build_site
from runtime_tests.web.conftest import classifier, golden_sets


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def record(site: Path) -> dict[str, Any]:
    described: dict[str, Any] = json.loads((site / "site.json").read_text())
    return described


def array(site: Path, place: dict[str, Any]) -> np.ndarray:
    """Read an array as the page does."""
    values = (site / "parity.bin").read_bytes()[place["offset_bytes"] :]
    count = int(np.prod(place["shape"]))
    return np.frombuffer(values[: 4 * count], "<f4").reshape(place["shape"])


def test_a_site_holds_the_page_the_runtime_the_model_and_the_golden_data(
    built: Path, model: Path
) -> None:
    files = contents(built)
    page = {path.name for path in PAGE.iterdir()}
    runtime = {f"ort/{name}" for name in RUNTIME_FILES}
    own = page | {"model.onnx", "parity.bin", "site.json"}
    variants = {f"{name}.gz" for name in own} & set(files)
    assert set(files) == own | variants | runtime
    assert {"main.js.gz", "site.json.gz"} <= variants
    assert set(record(built)["files"]) | {"site.json"} == set(files)
    assert files["model.onnx"] == model.read_bytes()
    assert files["ort/ort.wasm.min.mjs"] == b"ort.wasm.min.mjs"


def test_digests_and_shapes_are_those_of_the_files(built: Path, model: Path) -> None:
    described = record(built)
    assert described["model"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    golden = (built / "parity.bin").read_bytes()
    assert described["parity"]["sha256"] == hashlib.sha256(golden).hexdigest()
    assert described["model"]["input_shape"] == [3, 4, 6]
    assert described["model"]["input_name"] == "image"
    assert described["model"]["output_name"] == "scores"
    assert described["model"]["classes_count"] == 5
    assert described["model"]["fixed_batch_size"] is None


def test_the_service_worker_keeps_every_file_that_a_page_loads(built: Path) -> None:
    files, described = contents(built), record(built)
    digests = described["digests"]
    runtime = {f"ort/{name}" for name in LOADED_FILES}
    page = {path.name for path in PAGE.iterdir()} - {"service_worker.js"}
    assert set(digests) == page | runtime | {"model.onnx", "parity.bin"}
    for name, digest in digests.items():
        content = files[name] if name in files else gzip.decompress(files[f"{name}.gz"])
        assert digest == hashlib.sha256(content).hexdigest(), name
    assert described["on_demand"] == ["ort/ort-wasm-simd-threaded.asyncify.wasm"]
    first, rest = files["service_worker.js"].split(b"\n", 1)
    assert first.decode() == f'const SITE = "{hashlib.sha256(files["site.json"]).hexdigest()}";'
    assert rest == (PAGE / "service_worker.js").read_bytes()


def test_golden_data_is_that_of_the_bundle(built: Path, bundle: Path, model: Path) -> None:
    sets = read_bundle(bundle, model.read_bytes())
    described = record(built)["parity"]["sets"]
    assert len(described) == len(sets) == 2
    for expected, one in zip(sets, described, strict=True):
        assert (one["name"], one["batch_size"]) == (expected.name, expected.batch_size)
        assert one["limit"] == expected.outputs[0].limit
        np.testing.assert_array_equal(array(built, one["images"]), expected.images)
        np.testing.assert_array_equal(array(built, one["outputs"]), expected.outputs[0].values)


@pytest.mark.usefixtures("runtime")
def test_without_a_bundle_there_is_no_golden_data(tmp_path: Path, model: Path) -> None:
    site = build_site(tmp_path / "site", SiteOptions(model))
    assert site.images_count == 0
    assert record(tmp_path / "site")["parity"] is None
    assert not (tmp_path / "site" / "parity.bin").exists()


@pytest.mark.usefixtures("runtime")
def test_labels_and_a_fixed_batch_reach_the_page(tmp_path: Path) -> None:
    model, labels = tmp_path / "fixed.onnx", tmp_path / "labels.txt"
    model.write_bytes(classifier(batch=4))
    labels.write_text("\n".join("äbcde") + "\n", encoding="utf-8")
    build_site(tmp_path / "site", SiteOptions(model, labels=labels))
    assert record(tmp_path / "site")["labels"] == list("äbcde")
    assert record(tmp_path / "site")["model"]["fixed_batch_size"] == 4


def test_a_site_of_ours_is_replaced(built: Path, model: Path) -> None:
    build_site(built, SiteOptions(model))
    assert record(built)["parity"] is None
    assert not (built / "parity.bin").exists()
    assert [path.name for path in built.parent.glob(".site.*")] == []


def test_a_folder_of_somebody_else_is_kept(built: Path, model: Path) -> None:
    (built / "site.json").write_text('{"format": "other"}')
    before = contents(built)
    with pytest.raises(UsageError, match="holds something else"):
        build_site(built, SiteOptions(model))
    assert contents(built) == before


def test_a_file_that_is_not_ours_keeps_a_site(built: Path, model: Path) -> None:
    (built / "ort" / "notes.txt").write_text("mine")
    before = contents(built)
    with pytest.raises(UsageError, match=r"ort/notes\.txt"):
        build_site(built, SiteOptions(model))
    assert contents(built) == before


@pytest.mark.usefixtures("runtime")
def test_a_missing_parent_and_a_file_are_refused(tmp_path: Path, model: Path) -> None:
    for out in (tmp_path / "no" / "site", model):
        with pytest.raises(UsageError):
            build_site(out, SiteOptions(model))
    assert model.read_bytes() == classifier()


def test_a_failure_while_writing_keeps_the_old_site(
    built: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(built)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(UsageError, match="No space left"):
        build_site(built, SiteOptions(model))
    assert contents(built) == before
    assert [path.name for path in built.parent.glob(".site.*")] == []


def test_the_old_site_comes_back_if_the_new_cannot_take_its_place(
    built: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(built)
    replace = Path.replace

    def refuse_new(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(5, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse_new)
    with pytest.raises(UsageError, match="Input/output error"):
        build_site(built, SiteOptions(model))
    assert contents(built) == before


@pytest.mark.usefixtures("runtime")
def test_a_bundle_of_another_model_is_refused(tmp_path: Path, bundle: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(classifier(batch=4))
    with pytest.raises(ParityFailed, match="not the one"):
        build_site(tmp_path / "site", SiteOptions(other, bundle))
    assert not (tmp_path / "site").exists()


@pytest.mark.usefixtures("runtime")
def test_a_model_that_computes_wrong_here_gets_no_page(tmp_path: Path, model: Path) -> None:
    sets = golden_sets(model.read_bytes())
    sets[1].outputs[0].values[0, 0] += 10
    save_bundle(tmp_path / "wrong", model.read_bytes(), sets)
    with pytest.raises(ParityFailed, match="golden outputs"):
        build_site(tmp_path / "site", SiteOptions(model, tmp_path / "wrong"))
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize("text", ["a\nb\nc\nd", "a\nb\nc\nd\ne\nf", "a\n\nc\nd\ne"])
@pytest.mark.usefixtures("runtime")
def test_labels_must_name_every_class(tmp_path: Path, model: Path, text: str) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text(text)
    with pytest.raises(UsageError, match="does not name every class"):
        build_site(tmp_path / "site", SiteOptions(model, labels=labels))


@pytest.mark.usefixtures("runtime")
def test_two_channels_are_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    path.write_bytes(classifier(channels=2))
    with pytest.raises(UsageError, match="not a classifier of images"):
        build_site(tmp_path / "site", SiteOptions(path))


def test_pixels_are_stated_or_said_to_be_assumed() -> None:
    by_flags = Normalization((0.1,) * 3, (2.0,) * 3)
    assert read_pixels("0.1", "2", 3) == Pixels(by_flags, "flags")
    assert read_pixels(".1,.2,.3", "1,2,3", 3).normalization.std == (1, 2, 3)
    assumed = read_pixels(None, None, 1)
    assert assumed == Pixels(Normalization((0.5,), (0.5,)), "assumed")
    assert not assumed.stated


def test_what_the_file_records_needs_no_flags_and_flags_go_before_it() -> None:
    recorded = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    assert read_pixels(None, None, 3, recorded) == Pixels(recorded, "file")
    assert read_pixels("0", "1", 3, recorded).source == "flags"
    with pytest.raises(UsageError, match="does not fit its input"):
        read_pixels(None, None, 1, recorded)


@pytest.mark.usefixtures("runtime")
def test_a_page_takes_the_normalization_from_the_file(tmp_path: Path, model: Path) -> None:
    recorded = Normalization((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    proto = onnx.load(model)
    proto.metadata_props.add(key="legoexport.normalization", value=recorded.to_json())
    onnx.save(proto, model)
    build_site(tmp_path / "site", SiteOptions(model))
    pixels = record(tmp_path / "site")["pixels"]
    assert pixels == {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "stated": True}
    for damage in ("", "[]", '{"mean": [0], "std": [0]}', '{"mean": "a", "std": [1]}'):
        proto.metadata_props[-1].value = damage
        onnx.save(proto, model)
        with pytest.raises(UsageError, match="is damaged"):
            build_site(tmp_path / "site", SiteOptions(model))


@pytest.mark.parametrize(
    ("mean", "std"),
    [("0", None), (None, "1"), ("0,0", "1"), ("0", "0"), ("0", "1,-1,1"), ("a", "1"), ("nan", "1")],
)
def test_pixels_that_cannot_be_meant_are_refused(mean: str | None, std: str | None) -> None:
    with pytest.raises(UsageError):
        read_pixels(mean, std, 3)

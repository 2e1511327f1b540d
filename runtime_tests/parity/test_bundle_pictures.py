"""Pictures of a bundle: what a decoder makes of them gives the golden outputs."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.errors import UsageError
from legoexport.host.png import to_png
from legoexport.lego.normalization import Normalization
from legoexport.parity.bundle import read_bundle, save_bundle
from legoexport.parity.bundle_pictures import MOST_PICTURES
from legoexport.parity.verify import verify
from runtime_tests.networks import small_net

SIZE = (12, 10)
HOW = Normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
NETWORK = small_net().eval()
EXAMPLE = torch.zeros(1, 3, *SIZE)
PIXELS = np.random.default_rng(0).integers(0, 256, (40, *SIZE, 3)).astype(np.uint8)
# An image in other batches than before.
SUMS_TOLERANCE = 1e-5
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, shape)))
def test_pillow_reads_what_is_written(pixels: NDArray[np.uint8]) -> None:
    with Image.open(io.BytesIO(to_png(pixels))) as opened:
        assert opened.mode == {1: "L", 3: "RGB"}[pixels.shape[2]]
        assert np.array_equal(np.asarray(opened).reshape(pixels.shape), pixels)


def saved(folder: Path, *, takes_pixels: bool, images: NDArray[Any]) -> tuple[bytes, Path]:
    options = CompileOptions(pixels=HOW if takes_pixels else None)
    file = convert_module(NETWORK, EXAMPLE, options, normalization=HOW).model_bytes
    save_bundle(folder / "bundle", file, verify(NETWORK, file, data=images).golden)
    return file, folder / "bundle"


def listed(bundle: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((bundle / "pictures" / "pictures.json").read_text())
    return found


@pytest.mark.parametrize("takes_pixels", [True, False])
def test_decoded_and_prepared_pictures_give_the_golden_outputs(
    tmp_path: Path, *, takes_pixels: bool
) -> None:
    images = HOW.applied(np.moveaxis(PIXELS, 3, 1))
    file, bundle = saved(tmp_path, takes_pixels=takes_pixels, images=images)
    session = onnxruntime.InferenceSession(file)
    found = listed(bundle)
    sets = {"images given": MOST_PICTURES}
    sets |= dict.fromkeys(("pixels", "dark pixels", "black and white"), 8) if takes_pixels else {}
    assert {name: sum(one["set"] == name for one in found) for name in sets} == sets
    assert len(found) == sum(sets.values())
    for one in found:
        with Image.open(bundle / one["file"]) as opened:
            pixels = np.asarray(opened)[None]
        given = pixels if takes_pixels else HOW.applied(np.moveaxis(pixels, 3, 1))
        (scores,) = session.run(None, {session.get_inputs()[0].name: given})
        (output,) = one["outputs"].values()
        error = np.abs(scores[0] - np.array(output["values"])).max()
        assert error <= output["limit"] + SUMS_TOLERANCE
        swapped = given[..., ::-1] if takes_pixels else given[:, ::-1]
        (scores,) = session.run(None, {session.get_inputs()[0].name: swapped})
        assert np.abs(scores[0] - np.array(output["values"])).max() > output["limit"]
    golden = read_bundle(bundle, file)[-1]
    first = next(one for one in found if one["set"] == golden.name)
    (output,) = first["outputs"].values()
    assert np.array_equal(np.array(output["values"], np.float32), golden.outputs[0].values[0])


def test_images_that_no_picture_gives_back_have_none(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((3, 3, *SIZE)).astype(np.float32)
    file, bundle = saved(tmp_path, takes_pixels=False, images=noise)
    assert not (bundle / "pictures").exists()
    assert read_bundle(bundle, file)


def test_a_changed_picture_or_list_is_refused(tmp_path: Path) -> None:
    file, bundle = saved(
        tmp_path, takes_pixels=True, images=HOW.applied(np.moveaxis(PIXELS[:2], 3, 1))
    )
    for name in ("3-1.png", "pictures.json"):
        path = bundle / "pictures" / name
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        with pytest.raises(UsageError, match=f"{name} is not what was recorded"):
            read_bundle(bundle, file)
        path.unlink()
        with pytest.raises(UsageError, match=name):
            read_bundle(bundle, file)
        path.write_bytes(content)
    record = json.loads((bundle / "bundle.json").read_text())
    del record["record_sha256"]
    broken: list[object] = [[], {"../bundle.json": "0"}, {"pictures/3-0.png": 5}]
    for pictures in broken:
        (bundle / "bundle.json").write_text(json.dumps(record | {"pictures": pictures}))
        with pytest.raises(UsageError, match="is not a bundle"):
            read_bundle(bundle, file)

"""What every runtime shares: names, feeds, joined outputs, and the one in this process."""

from __future__ import annotations

import numpy as np
import pytest

from legoexport.errors import CheckFailed, UsageError
from legoexport.ort.session import RuntimeModel
from legoexport.runtimes import MODULES, Feed, PlacedNode, find_runtime, find_runtimes
from legoexport.runtimes.base import Replay, Timed, join_values
from legoexport.runtimes.view import convolutions_line, placement_rows
from runtime_tests.parity.networks import INPUT_SHAPE, converted

IMAGES = np.random.default_rng(0).standard_normal((5, *INPUT_SHAPE)).astype(np.float32)
CPU, XNNPACK = "CPUExecutionProvider", "XnnpackExecutionProvider"


@pytest.mark.parametrize("name", MODULES)
def test_a_runtime_bears_the_name_it_is_found_by(name: str) -> None:
    assert {one.name.partition(":")[0] for one in find_runtimes(name)} == {name}


@pytest.mark.parametrize("text", ["tpu", "", "cpu ", ":", "xnnpack2"])
def test_unknown_names_are_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(UsageError, match="unknown runtime") as caught:
        find_runtime(text)
    assert all(name in str(caught.value) for name in MODULES)


@pytest.mark.parametrize("text", ["cpu:fast", "wasm:simd", "xnnpack:4"])
def test_variants_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="has no variants"):
        find_runtime(text)


@pytest.mark.parametrize("name", ["wasm", "xnnpack"])
def test_the_web_has_one_thread(name: str) -> None:
    with pytest.raises(UsageError, match="one thread"):
        find_runtime(name, threads=2)


def test_only_runtimes_with_honest_times_are_timed() -> None:
    assert isinstance(find_runtime("xnnpack"), Timed)
    assert not isinstance(find_runtime("cpu"), Timed)


def test_cpu_is_the_runtime_of_this_process() -> None:
    model_bytes = converted().model.SerializeToString()
    feeds = [Feed(IMAGES, 1), Feed(IMAGES, 2), Feed(IMAGES[:3], 3)]
    replay = find_runtime("cpu").run(model_bytes, feeds)
    model = RuntimeModel(model_bytes, 1)
    for feed, outputs in zip(feeds, replay.outputs, strict=True):
        assert np.array_equal(outputs, model.run(feed.images, feed.batch_size))


def test_batches_cover_the_images_in_order() -> None:
    batches = Feed(IMAGES, 2).batches
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert np.array_equal(np.concatenate(batches), IMAGES)


@pytest.mark.parametrize(
    ("images", "batch_size"),
    [(IMAGES, 0), (IMAGES[:0], 1), (IMAGES[0], 1), (IMAGES.astype(np.float64), 1)],
)
def test_what_no_model_takes_is_no_feed(images: np.ndarray, batch_size: int) -> None:
    with pytest.raises(UsageError, match="images of float32 or uint8"):
        Feed(images, batch_size)


def test_an_output_short_of_an_image_is_noticed() -> None:
    part, feeds = np.zeros((1, 7), np.float32), [Feed(IMAGES, 1)]
    whole = join_values([{"scores": part, "integers": part.astype(np.int8)}] * 5)
    replay = Replay.of([whole], feeds, (), "a runtime")
    assert replay.outputs[0].shape == (5, 7)
    assert replay.values[0]["integers"].dtype == np.int8
    for parts in ([part] * 4, [part.astype(np.float64)] * 5):
        short = join_values([{"scores": one} for one in parts])
        with pytest.raises(CheckFailed, match="for each image"):
            Replay.of([short], feeds, (), "a runtime")


def test_the_convolutions_in_a_sentence() -> None:
    on_xnnpack = [PlacedNode(f"Conv_{i}", "Conv", XNNPACK) for i in range(9)]
    left = [PlacedNode(f"left_{i}", "FusedConv", CPU) for i in range(6)]
    other = [PlacedNode("gather", "Gather", CPU)]
    assert convolutions_line(on_xnnpack + other) == "all 9 convolutions ran on xnnpack"
    assert convolutions_line(on_xnnpack + left[:1]) == (
        "of 10 convolutions ran 9 on xnnpack, 1 on cpu (left_0)"
    )
    said = convolutions_line(on_xnnpack + left)
    assert said.endswith("6 on cpu (left_0, left_1, left_2, left_3, ...)")
    assert convolutions_line(other) == "no convolutions"
    assert placement_rows(on_xnnpack + other + other) == [
        ("cpu", "Gather", 2),
        ("xnnpack", "Conv", 9),
    ]

"""Pictures are scaled as Pillow scales them, to the bit, in whatever order it takes its passes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from legoexport.errors import UsageError
from legoexport.lego.resampling import MOST_PIXELS, Resize, Size

SIZES = st.tuples(st.integers(1, 70), st.integers(1, 70))


def by_pillow(pixels: NDArray[np.uint8], size: Size) -> NDArray[Any]:
    grey = pixels.shape[2] == 1
    picture = Image.fromarray(pixels[:, :, 0] if grey else pixels)
    return np.asarray(ImageOps.fit(picture, size[::-1])).reshape(*size, -1)


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Size, Size]:
    """Sizes around the one where the order of the passes changes."""
    (height, width), shrinks = draw(SIZES), draw(st.integers(-20, 20))
    wanted = height - 2 * shrinks + draw(st.integers(-2, 2)), width - shrinks
    return (height, width), (max(1, wanted[0]), max(1, wanted[1]))


@settings(max_examples=300, deadline=None)
@given(
    sizes=st.one_of(st.tuples(SIZES, SIZES), neighbours()),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
@example(sizes=((480, 640), (224, 224)), channels=3, seed=0)
@example(sizes=((640, 480), (32, 32)), channels=3, seed=1)
@example(sizes=((300, 20), (31, 64)), channels=1, seed=2)
@example(sizes=((40, 30), (40, 20)), channels=3, seed=3)
@example(sizes=((30, 40), (20, 40)), channels=3, seed=4)
@example(sizes=((7, 7), (7, 7)), channels=3, seed=5)
def test_it_gives_the_pixels_of_pillow(sizes: tuple[Size, Size], channels: int, seed: int) -> None:
    source, size = sizes
    rng = np.random.default_rng(seed)
    # Black and white overshoot most.
    levels = [
        rng.integers(0, 256, (*source, channels)),
        255 * rng.integers(0, 2, (*source, channels)),
    ]
    pictures = np.stack(levels).astype(np.uint8)
    found = Resize(source, size).applied(pictures)
    assert found.dtype == np.uint8
    for one, picture in zip(found, pictures, strict=True):
        np.testing.assert_array_equal(one, by_pillow(picture, size))


@settings(max_examples=50, deadline=None)
@given(source=SIZES, size=SIZES)
def test_what_no_sum_takes_lies_outside_the_span(source: Size, size: Size) -> None:
    for axis, taps in Resize(source, size).passes:
        low, high = taps.span
        used = np.flatnonzero(taps.matrix(source[axis]).any(axis=0))
        assert (low, high) == (used[0], used[-1] + 1)
        assert 0 <= low < high <= source[axis]


def test_it_is_written_and_read() -> None:
    resize = Resize((480, 640), (224, 192))
    assert Resize.from_json(resize.to_json(), "the entry") == resize
    assert json.loads(resize.to_json()) == {"source": [480, 640], "size": [224, 192]}


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"source": [4, 4]}', '{"source": [4], "size": [2, 2]}', "3", '{"source": "ab"}',
     '{"source": [4, 0], "size": [2, 2]}', '{"source": [4, 1e999], "size": [2, 2]}'],
)  # fmt: skip
def test_what_says_no_sizes_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Resize.from_json(text, "the entry")


@pytest.mark.parametrize("source", [(0, 4), (4, -1), (MOST_PIXELS, 2)])
def test_a_size_is_positive_and_one_that_a_decoder_takes(source: Size) -> None:
    with pytest.raises(UsageError, match="no size of pictures"):
        Resize(source, (4, 4))

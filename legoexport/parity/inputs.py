"""Inputs for a parity check: deterministic random images, and real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization
from legoexport.ort.session import InputSpec

SEED = 2019
MOST_IMAGES = 8
FEWEST_IMAGES = 2
# Input values per set of random images: 8 images of 3x32x32, 2 of 3x224x224.
VALUES_BUDGET = 8 * 3 * 32 * 32
SPARSE_SCALE = 16.0
SPARSE_DENSITY = 0.1
# Of floats; integers are drawn evenly from their range each time, but those of images.
DRAWS = ("standard normal", "uniform in [0, 1)", "sparse and large")
PIXEL_DRAWS = ("pixels", "dark pixels", "black and white")
DARK = 32
WHOLE_RANGES = {"uint8": (0, 255), "int8": (-128, 127)}


@dataclass(frozen=True)
class InputSet:
    """Inputs that are judged together.

    Attributes:
        name: What they are.
        arrays: ``(N, ...)`` for each input of the model; images are ``(N, c, h, w)`` float32.
        batch_size: Images per run of the model.
        labels: ``(N,)`` int64 class of each image, or None.
    """

    name: str
    arrays: tuple[NDArray[Any], ...]
    batch_size: int
    labels: NDArray[np.int64] | None = None

    @property
    def images(self) -> NDArray[Any]:
        """The first input, which mostly is the only one."""
        return self.arrays[0]


def random_inputs(
    input_shape: tuple[int, int, int], fixed_batch_size: int | None
) -> tuple[InputSet, ...]:
    """Draw three sets of images, the same in every run, in batches of one, of three and of all.

    Args:
        input_shape: ``(c, h, w)``; the larger the images, the fewer are drawn.
        fixed_batch_size: The batch of the model, or None if it is open.
    """
    spec = InputSpec("input", "float32", tuple(input_shape))
    return draw_inputs((spec,), fixed_batch_size, {})


def draw_inputs(
    specs: Sequence[InputSpec],
    fixed_batch_size: int | None,
    integer_ranges: Mapping[str, tuple[int, int]],
) -> tuple[InputSet, ...]:
    """Draw three sets for a model of any inputs, as ``random_inputs`` does for images.

    Args:
        specs: The inputs.
        fixed_batch_size: The batch of the model, or None if it is open.
        integer_ranges: The smallest and the largest value for integer inputs, by name. If it is
            not there, 8 bits are drawn over their whole range and wider integers are 0 or 1.
    """
    values = sum(int(np.prod(one.shape)) for one in specs)
    count = max(FEWEST_IMAGES, min(MOST_IMAGES, VALUES_BUDGET // values))
    batch_sizes = [1, min(3, count), count]
    if fixed_batch_size is not None:
        count = -(-count // fixed_batch_size) * fixed_batch_size
        batch_sizes = [fixed_batch_size] * 3
    rng = np.random.default_rng(SEED)
    names = PIXEL_DRAWS if all(one.is_pixels for one in specs) else DRAWS
    drawn = [_draw(rng, one, count, integer_ranges.get(one.name)) for one in specs]
    return tuple(
        InputSet(name, tuple(draws[i] for draws in drawn), batch_size)
        for i, (name, batch_size) in enumerate(zip(names, batch_sizes, strict=True))
    )


def _draw(
    rng: np.random.Generator, spec: InputSpec, count: int, given: tuple[int, int] | None
) -> list[NDArray[Any]]:
    shape, dtype = (count, *spec.shape), np.dtype(spec.dtype)
    if spec.is_pixels:
        white = 255 * rng.integers(0, 2, shape)
        levels = (rng.integers(0, 256, shape), rng.integers(0, DARK, shape), white)
        return [one.astype(dtype) for one in levels]
    if dtype.kind != "f":
        low, high = given or WHOLE_RANGES.get(spec.dtype, (0, 1))
        return [rng.integers(low, high + 1, shape).astype(dtype) for _ in DRAWS]
    normal = rng.standard_normal(shape)
    uniform = rng.random(shape)
    sparse = SPARSE_SCALE * rng.standard_normal(shape) * (rng.random(shape) < SPARSE_DENSITY)
    return [one.astype(dtype) for one in (normal, uniform, sparse)]


def given_inputs(
    images: NDArray[Any], input_shape: tuple[int, int, int], fixed_batch_size: int | None
) -> InputSet:
    """Take images ``(N, c, h, w)`` that are in memory already.

    Raises:
        UsageError: They are not images of ``input_shape``.
    """
    checked = _check_images(images, input_shape, "data")
    return batched("images given", checked, None, fixed_batch_size)


def as_pixels(inputs: InputSet, pixels: Normalization | None) -> InputSet:
    """Return normalised images as a file takes them that normalises pixels itself.

    Args:
        inputs: One image tensor, normalised by ``pixels``.
        pixels: How the file normalises; None for one that takes them normalised.

    Raises:
        UsageError: The images were not made of pixels by this normalization.
    """
    return inputs if pixels is None else replace(inputs, arrays=(pixels.undone(inputs.images),))


def batched(
    name: str,
    images: NDArray[np.float32],
    labels: NDArray[np.int64] | None,
    fixed_batch_size: int | None,
) -> InputSet:
    """Put images into batches; with a fixed size, those that do not fill one are left out.

    Args:
        name: What they are.
        images: ``(N, c, h, w)``.
        labels: ``(N,)`` class of each image, or None.
        fixed_batch_size: The batch of the model, or None if it is open.

    Raises:
        UsageError: They do not fill one batch.
    """
    batch_size = fixed_batch_size or min(len(images), 4 * MOST_IMAGES)
    count = len(images) // batch_size * batch_size if fixed_batch_size else len(images)
    if count == 0:
        raise UsageError(f"{name} do not fill one batch", received=len(images), legal=batch_size)
    return InputSet(name, (images[:count],), batch_size, None if labels is None else labels[:count])


def _check_images(
    images: NDArray[np.generic], input_shape: tuple[int, int, int], source: str
) -> NDArray[np.float32]:
    is_number = np.issubdtype(images.dtype, np.floating)
    if images.shape[1:] != input_shape or not is_number or not len(images):
        raise UsageError(
            f"{source} does not fit the network",
            received=f"images {images.dtype} {images.shape}",
            legal=f"float32 (N, {', '.join(map(str, input_shape))}), prepared as for training",
        )
    if not np.isfinite(images.astype(np.float32)).all():
        raise UsageError(f"{source} holds NaN or infinite values")
    return images.astype(np.float32)

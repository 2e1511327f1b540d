"""Compare two stored tensors by type, shape and bits, and show the first entry that differs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from legoexport.parity.difference import shortened


def tensor_difference(
    expected: onnx.TensorProto, received: onnx.TensorProto
) -> tuple[str, str, str] | None:
    """Return the aspect that differs and both sides of it, or None if the tensors are equal.

    How the numbers are stored, as raw bytes or in typed fields, makes no difference. Numbers are
    equal if all their bits are: ``0.0`` is not ``-0.0``, and a NaN is itself.
    """
    if received.data_location == onnx.TensorProto.EXTERNAL:
        return "place", "in the file", "in another file"
    if expected.data_type != received.data_type:
        return "type", type_name(expected.data_type), type_name(received.data_type)
    if list(expected.dims) != list(received.dims):
        return "shape", shortened(list(expected.dims)), shortened(list(received.dims))
    if expected.raw_data and expected.raw_data == received.raw_data:
        return None
    try:
        values = numpy_helper.to_array(received)
    except (ValueError, TypeError, OverflowError) as error:
        size = f"{len(received.raw_data)} bytes"
        return "values", f"{len(expected.raw_data)} bytes", f"{size} ({shortened(error)})"
    return _first_difference(numpy_helper.to_array(expected), values)


def type_name(data_type: int) -> str:
    """Return such as ``float32`` for an element type of ONNX."""
    try:
        return str(helper.tensor_dtype_to_np_dtype(data_type))
    except KeyError:
        return f"type {data_type}"


def _first_difference(
    expected: NDArray[Any], received: NDArray[Any]
) -> tuple[str, str, str] | None:
    places = np.flatnonzero(_differ(expected, received))
    if not len(places):
        return None
    place = tuple(int(i) for i in np.unravel_index(places[0], expected.shape))
    count = "" if len(places) == 1 else f" and {len(places) - 1} more of {expected.size} entries"
    return f"[{', '.join(map(str, place))}]{count}", *_texts(expected[place], received[place])


def _differ(expected: NDArray[Any], received: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each entry, in the order of the memory, whether any bit of it differs."""
    if expected.dtype == object or not expected.size:
        return np.asarray(expected != received, bool).reshape(-1)
    sides = [
        np.ascontiguousarray(one).reshape(-1).view(np.uint8).reshape(one.size, -1)
        for one in (expected, received)
    ]
    return np.asarray((sides[0] != sides[1]).any(axis=1))


def _texts(expected: Any, received: Any) -> tuple[str, str]:
    texts = shortened(expected), shortened(received)
    if texts[0] != texts[1] or not isinstance(expected, np.generic):
        return texts
    bits = expected.tobytes().hex(), received.tobytes().hex()
    return f"{texts[0]} (bytes {bits[0]})", f"{texts[1]} (bytes {bits[1]})"

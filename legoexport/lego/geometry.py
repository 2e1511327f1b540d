"""The geometry that a Lego layer shares with an ordinary convolution."""

from __future__ import annotations


def conv_output_size(
    input_size: tuple[int, int],
    *,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[int, int]:
    """Return ``(height, width)`` in pixels of the map that a convolution gives.

    ``(size + 2 * padding - (dilation * (kernel - 1) + 1)) // stride + 1`` on each axis, as ONNX
    defines Conv; below 1 where the kernel does not fit into the input.

    Args:
        input_size: ``(height, width)`` of the map that enters, in pixels.
        kernel: ``(kh, kw)``.
        stride: ``(vertical, horizontal)`` in pixels.
        padding: Zeros added on ``(each vertical side, each horizontal side)`` in pixels.
        dilation: ``(vertical, horizontal)`` in pixels.
    """
    height, width = (
        (input_size[axis] + 2 * padding[axis] - kernel_extent(kernel[axis], dilation[axis]))
        // stride[axis]
        + 1
        for axis in (0, 1)
    )
    return height, width


def kernel_extent(taps: int, dilation: int) -> int:
    """Return how many pixels of one axis ``taps`` taps span, ``dilation`` apart."""
    return dilation * (taps - 1) + 1

"""What the contractions of a convolution are in whole numbers, for any window: slow, exact, and without padding.

Padding, strides and dilation only say which pixel a weight of an output's window meets. `meets` writes that down as
zeros and ones, for each axis; each contraction is then one product of its operands with both, in int64.
"""

import numpy as np

from halo_jax.grid_sums import Window


def sizes(in_hw: tuple[int, int], kernel: tuple[int, int], window: Window) -> tuple[int, int]:
    """Height and width of the output; below 1 where the window doesn't fit into the padded image."""
    reach = [(k - 1) * dilation for k, dilation in zip(kernel, window.dilation, strict=True)]
    steps = [
        (size + sum(pair) - far - 1) // stride
        for size, pair, far, stride in zip(in_hw, window.padding, reach, window.strides, strict=True)
    ]
    return steps[0] + 1, steps[1] + 1


def meets(out: int, kernel: int, size: int, window: Window, axis: int) -> np.ndarray:
    """`[out, kernel, size]`, 1 where the weight meets the pixel for that output, along one axis of the image."""
    outputs, weights = window.strides[axis] * np.arange(out)[:, None], window.dilation[axis] * np.arange(kernel)
    pixels = outputs + weights - window.padding[axis][0]
    return (pixels[:, :, None] == np.arange(size)).astype(np.int64)


def contractions(x: np.ndarray, w: np.ndarray, error: np.ndarray, window: Window) -> tuple[np.ndarray, ...]:
    """Forward, input gradient and weight gradient of whole numbers: images, kernel, errors of the output."""
    rows, columns = (meets(error.shape[1 + axis], w.shape[axis], x.shape[1 + axis], window, axis) for axis in range(2))
    x, w, error = (operand.astype(np.int64) for operand in (x, w, error))
    y = np.einsum("yih,xjw,bhwc,ijco->byxo", rows, columns, x, w, optimize=True)
    dx = np.einsum("yih,xjw,byxo,ijco->bhwc", rows, columns, error, w, optimize=True)
    dw = np.einsum("yih,xjw,bhwc,byxo->ijco", rows, columns, x, error, optimize=True)
    return y, dx, dw

"""What the contractions of a convolution are in whole numbers, for any window: slow, exact, and without padding.

Padding, strides and dilation only say which pixel a weight of an output's window meets. `meets` writes that down as
zeros and ones, for each axis; each contraction is then one product of its operands with both. It is added up in
float64, which holds every whole number below 2^53, and so 500 billion products of 8-bit codes.
"""

from collections.abc import Sequence

import numpy as np

from halo_jax.numerics.exact_sums import Window

_ORDER = ("greedy", 2**28)  # the operands two by two, though what comes in between has up to so many numbers


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
    return (pixels[:, :, None] == np.arange(size)).astype(np.float64)


def contractions(x: np.ndarray, w: np.ndarray, error: np.ndarray, window: Window) -> tuple[np.ndarray, ...]:
    """Forward, input gradient and weight gradient of whole numbers: images, kernel, errors of the output."""
    rows, columns = (meets(error.shape[1 + axis], w.shape[axis], x.shape[1 + axis], window, axis) for axis in range(2))
    x, w, error = (operand.astype(np.float64) for operand in (x, w, error))
    y = np.einsum("yih,xjw,bhwc,ijco->byxo", rows, columns, x, w, optimize=_ORDER)
    dx = np.einsum("yih,xjw,byxo,ijco->bhwc", rows, columns, error, w, optimize=_ORDER)
    dw = np.einsum("yih,xjw,bhwc,byxo->ijco", rows, columns, x, error, optimize=_ORDER)
    return tuple(sums.astype(np.int64) for sums in (y, dx, dw))


def draws(key: Sequence[int], count: int) -> np.ndarray:
    """The lower 16 bits of threefry2x32, both of its words by exclusive or, for counters 0 to `count` - 1.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; 20 rounds.
    """
    keys = [*key, key[0] ^ key[1] ^ 0x1BD11BDA]
    low, word = np.arange(count, dtype=np.uint64), np.uint64(2**32 - 1)
    a, b = low * 0 + np.uint64(keys[0]), (low + np.uint64(keys[1])) & word
    for step in range(20):
        by = np.uint64(((13, 15, 26, 6), (17, 29, 16, 24))[step // 4 % 2][step % 4])
        a = (a + b) & word
        b = ((b << by | b >> (np.uint64(32) - by)) & word) ^ a
        if step % 4 == 3:
            turn = step // 4 + 1
            a, b = (a + np.uint64(keys[turn % 3])) & word, (b + np.uint64(keys[(turn + 1) % 3] + turn)) & word
    return ((a ^ b) & np.uint64(0xFFFF)).astype(np.int64)

"""Sums of products on the grid: operands, where float32 adds them exactly, and the patches of a convolution.

A product of two 8-bit codes is at most 127^2, so a float32 sum of up to 1,040 products is exact in any order. Longer
sums are split into parts of at most that length, and the parts are added in int32 (two int32 limbs where even that
could overflow): the result is the exact sum rounded once to float32, whatever the order, backend or executor.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from halo_jax.numerics.wide_integers import WideInt

FLOAT32_TERMS = 1040  # 1040 * 127^2 < 2^24
INT32_TERMS = 133_144  # 133144 * 127^2 < 2^31


class Window(NamedTuple):
    """The static geometry of a convolution: `padding` is explicit, ((top, bottom), (left, right))."""

    strides: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)


class Operand(NamedTuple):
    """A tensor float32 of whole numbers, at most 127 in size, times `unit` `[]`, a power of two.

    `unit` None: any float32 values, whose products are added in plain float32.
    """

    values: jax.Array
    unit: Any = None


def exact_sum(partial_sums: Sequence[jax.Array] | jax.Array, a: Operand, b: Operand, terms: int) -> jax.Array:
    """Add partial sums of products of `a` and `b`: the exact sum, rounded once for any 545 million products.

    Args:
      partial_sums: float32 `[S, ...]`, or S arrays; each is of at most FLOAT32_TERMS products, and so exact.
      a: the operand whose units the products have.
      b: the other operand.
      terms: how many products stand behind one element of the result.

    Returns:
      float32 `[...]`.
    """
    unit = a.unit * b.unit
    return sum_of_codes((jnp.asarray(partial_sums) / unit).astype(jnp.int32), terms) * unit


def sum_of_codes(partial_sums: jax.Array, terms: int) -> jax.Array:
    """Add int32 partial sums `[S, ...]` of `terms` products of codes: the exact sum, rounded once to float32."""
    if terms <= INT32_TERMS:
        return partial_sums.sum(0).astype(jnp.float32)
    return WideInt.of_int(partial_sums).sum(0).as_float()


def back_window(error: jax.Array, w: jax.Array, window: Window, in_hw: tuple[int, int]) -> Window:
    """The window of the input gradient: flipped weights, at stride 1, over errors that lie `window.strides` apart.

    Args:
      error: errors of the output `[B, Ho, Wo, Cout]`.
      w: weights `[kh, kw, Cin, Cout]`.
      window: static geometry of the forward pass.
      in_hw: height and width of the input.

    Returns:
      The window with which `correlate` gives `[B, *in_hw, Cin]`; its padding may be negative.
    """
    padding = []
    for axis in range(2):
        reach = (w.shape[axis] - 1) * window.dilation[axis]
        before = reach - window.padding[axis][0]
        spread = (error.shape[1 + axis] - 1) * window.strides[axis] + 1
        padding.append((before, in_hw[axis] + reach - spread - before))
    return Window((1, 1), (padding[0], padding[1]), window.dilation)


def flip(w: jax.Array) -> jax.Array:
    """Weights `[kh, kw, Cin, Cout]` as the input gradient sees them: both kernel axes reversed, channels swapped."""
    return jnp.flip(w, (0, 1)).transpose(0, 1, 3, 2)


def padded(x: jax.Array, padding: Sequence[tuple[int, int]], spread: tuple[int, int] = (1, 1)) -> jax.Array:
    """Images `[B, H, W, C]` in zeros, cropped where padding is negative; their pixels then lie `spread` apart."""
    # Unlike jnp.pad, lax.pad crops too, and in one step, so a crop larger than the image may fall on the other padding.
    edges = [(*pair, step - 1) for pair, step in zip(padding, spread, strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))


def patches(x: jax.Array, kernel: tuple[int, int], window: Window, spread: tuple[int, int] = (1, 1)) -> jax.Array:
    """What each output position sees, by slices.

    Args:
      x: images `[B, H, W, Cin]`.
      kernel: kh and kw.
      window: static geometry.
      spread: zeros are set between pixels, so that these lie this far apart.

    Returns:
      `[B, Ho, Wo, kh*kw*Cin]`, in the dtype of `x`.
    """
    x = padded(x, window.padding, spread)
    (sh, sw), (dh, dw) = window.strides, window.dilation
    ho = (x.shape[1] - (kernel[0] - 1) * dh - 1) // sh + 1
    wo = (x.shape[2] - (kernel[1] - 1) * dw - 1) // sw + 1
    columns = [
        x[:, i * dh : i * dh + (ho - 1) * sh + 1 : sh, j * dw : j * dw + (wo - 1) * sw + 1 : sw]
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]
    return jnp.concatenate(columns, -1)

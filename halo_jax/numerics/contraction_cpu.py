"""The contractions of a layer on a CPU, client by client: forward, input gradient, weight gradient.

Canonical form is NHWC, HWIO, no window reversal: inside a loop over clients XLA's CPU backend runs it 20 to 80 times
faster than what autodiff would make. Which form a shape gets was measured: see the constants.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from halo_jax.numerics.exact_sums import FLOAT32_TERMS, Operand, Window, back_window, exact_sum, flip, padded, patches

_FEW_CHANNELS = 4  # up to here patches and one dot beat a convolution twice over
_FEW_POSITIONS = 64  # up to here the same holds for weight gradients


def _sum_over_slices(
    contract: Callable[[slice], jax.Array], a: Operand, b: Operand, channels: int, terms: int, exact: bool
) -> jax.Array:
    """Contract slices of the channels, none with more than FLOAT32_TERMS of all `terms` products, and add them."""
    if not exact or terms <= FLOAT32_TERMS:
        return contract(slice(None))
    size = max(1, FLOAT32_TERMS * channels // terms)
    partial_sums = [contract(slice(start, start + size)) for start in range(0, channels, size)]
    return exact_sum(partial_sums, a, b, terms)


def dot(a: Operand, b: Operand, *, exact: bool) -> jax.Array:
    """`[M, K]` times `[K, N]`."""
    terms = a.values.shape[1]
    return _sum_over_slices(lambda k: a.values[:, k] @ b.values[k], a, b, terms, terms, exact)


def correlate(x: Operand, w: Operand, *, window: Window, exact: bool, input_dilation=(1, 1)) -> jax.Array:
    """The canonical convolution of images with weights.

    Args:
      x: activations `[B, H, W, Cin]`.
      w: weights `[kh, kw, Cin, Cout]`.
      window: static geometry.
      exact: exact sums of any length; False may add in plain float32, where that is faster.
      input_dilation: zeros are set between pixels, so that these lie this far apart.

    Returns:
      `[B, Ho, Wo, Cout]`, float32.
    """
    kh, kw, c_in, c_out = w.values.shape
    small = x.values.shape[1] < kh or x.values.shape[2] < kw  # XLA would swap the image and the kernel: slow
    if c_in <= _FEW_CHANNELS or small or kh * kw > FLOAT32_TERMS:
        seen = patches(x.values, (kh, kw), window, input_dilation)
        rows, columns = seen.reshape(-1, seen.shape[-1]), w.values.reshape(-1, c_out)
        return dot(x._replace(values=rows), w._replace(values=columns), exact=exact).reshape(*seen.shape[:3], -1)

    images, padding = x.values, window.padding
    if min(map(min, padding)) < 0:  # XLA's convolution would then read beyond its images on a CPU
        images, padding, input_dilation = padded(images, padding, input_dilation), ((0, 0), (0, 0)), (1, 1)

    def contract(channels: slice) -> jax.Array:
        return lax.conv_general_dilated(
            images[..., channels],
            w.values[:, :, channels],
            window.strides,
            padding,
            lhs_dilation=input_dilation,
            rhs_dilation=window.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    return _sum_over_slices(contract, x, w, c_in, kh * kw * c_in, exact)


def input_gradient(error: Operand, w: Operand, *, window: Window, in_hw: tuple[int, int], exact: bool) -> jax.Array:
    """The input gradient: errors correlated with the flipped, transposed weights.

    Args:
      error: errors of the output `[B, Ho, Wo, Cout]`.
      w: weights `[kh, kw, Cin, Cout]`.
      window: static geometry of the forward pass.
      in_hw: height and width of the input.
      exact: exact sums of any length; False may add in plain float32, where that is faster.

    Returns:
      Errors of the input `[B, H, W, Cin]`, float32.
    """
    back = back_window(error.values, w.values, window, in_hw)
    flipped = w._replace(values=flip(w.values))
    return correlate(error, flipped, window=back, exact=exact, input_dilation=window.strides)


def weight_gradient(x: Operand, error: Operand, *, window: Window, kernel: tuple[int, int], exact: bool) -> jax.Array:
    """The weight gradient: patches of the input times errors, summed over batch and positions.

    Args:
      x: activations `[B, H, W, Cin]`.
      error: errors of the output `[B, Ho, Wo, Cout]`.
      window: static geometry of the forward pass.
      kernel: kh and kw.
      exact: exact sums of any length; False may add in plain float32, where that is faster.

    Returns:
      Gradient of the weights `[kh, kw, Cin, Cout]`, float32.
    """
    (_, height, columns, c_out), c_in = error.values.shape, x.values.shape[-1]
    few = c_in <= _FEW_CHANNELS or height * columns <= _FEW_POSITIONS
    if few or columns > FLOAT32_TERMS or window.strides != (1, 1) or window.dilation != (1, 1):
        seen = x._replace(values=patches(x.values, kernel, window))
        return _position_dot(seen, error, exact).reshape(*kernel, c_in, c_out)
    kh, kw = kernel
    images = padded(x.values, window.padding)
    shifted = [jnp.pad(error.values, ((0, 0), (0, 0), (j, kw - 1 - j), (0, 0))) for j in range(kw)]
    shifted = error._replace(values=jnp.concatenate(shifted, -1))  # one dot per kernel row serves all kw columns
    rows = [_position_dot(x._replace(values=images[:, i : i + height]), shifted, exact, columns) for i in range(kh)]
    return jnp.stack(rows).reshape(kh, c_in, kw, c_out).transpose(0, 2, 1, 3)


def _position_dot(x: Operand, error: Operand, exact: bool, row_terms: int | None = None) -> jax.Array:
    """Contract `[B, H, W, M]` with `[B, H, W, N]` over all positions, `row_terms` of each row's W being non-zero."""
    batch, height, width, _ = x.values.shape
    rows, row_terms = batch * height, row_terms or width
    if row_terms > FLOAT32_TERMS:
        flat = (1, rows * width, 1, -1)
        x, error = (t._replace(values=t.values.reshape(flat)) for t in (x, error))
        return _position_dot(x, error, exact)
    if not exact or rows * row_terms <= FLOAT32_TERMS:
        return lax.dot_general(x.values, error.values, (((0, 1, 2), (0, 1, 2)), ((), ())))
    blocks = -(-rows // (FLOAT32_TERMS // row_terms))
    size = -(-rows // blocks)
    missing = ((0, blocks * size - rows), (0, 0))
    inputs, errors = (
        jnp.pad(t.values.reshape(rows, -1), missing).reshape(blocks, size * width, -1) for t in (x, error)
    )
    return exact_sum(lax.dot_general(inputs, errors, (((1,), (1,)), ((0,), (0,)))), x, error, rows * row_terms)

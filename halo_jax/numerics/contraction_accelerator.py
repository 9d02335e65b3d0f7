"""The contractions of a layer on an accelerator: patches and one dot product, which `vmap` batches over clients.

Operands on a grid of up to 8 bits are exact in bfloat16 (7 bits of code, 8 of significand), so tensor cores multiply
them; results are float32, and sums longer than FLOAT32_TERMS are split and added in int32. As int8 codes they have
int32 results, which hold INT32_TERMS. A convolution over clients would be a grouped one, whose backward pass is as
slow as a dense one.

Choice: every shape takes one form, and bfloat16 unless `HALO_JAX_KERNELS=int8`. Neither has been timed on an
accelerator yet; a faster form for some shape would be chosen here, by that shape.
"""

import jax
import jax.numpy as jnp
from jax import lax

from halo_jax.numerics.exact_sums import (
    FLOAT32_TERMS,
    INT32_TERMS,
    Operand,
    Window,
    back_window,
    exact_sum,
    flip,
    patches,
    sum_of_codes,
)


def dot(a: Operand, b: Operand, *, exact: bool, codes: bool = False) -> jax.Array:
    """The product of two matrices.

    Args:
      a: `[M, K]`.
      b: `[K, N]`.
      exact: exact sums of any length; False may add in plain float32, where that is faster.
      codes: multiply as int8 codes, not in bfloat16.

    Returns:
      `[M, N]`, float32.
    """
    if a.unit is None:
        return jnp.dot(a.values, b.values, precision=lax.Precision.HIGHEST)
    rows, columns = _narrow(a, codes), _narrow(b, codes)
    kind, limit = (jnp.int32, INT32_TERMS) if codes else (jnp.float32, FLOAT32_TERMS)
    terms, unit = rows.shape[1], a.unit * b.unit
    if terms <= limit or not (exact or codes):
        product = jnp.dot(rows, columns, preferred_element_type=kind)
        return product.astype(jnp.float32) * unit if codes else product
    blocks = -(-terms // limit)
    size = -(-terms // blocks)
    missing = (0, blocks * size - terms)
    rows = jnp.pad(rows, ((0, 0), missing)).reshape(-1, blocks, size)
    columns = jnp.pad(columns, (missing, (0, 0))).reshape(blocks, size, -1)
    sums = lax.dot_general(rows, columns, (((2,), (1,)), ((1,), (0,))), preferred_element_type=kind)
    return sum_of_codes(sums, terms) * unit if codes else exact_sum(sums, a, b, terms)


def correlate(
    x: Operand, w: Operand, *, window: Window, exact: bool, codes: bool = False, input_dilation=(1, 1)
) -> jax.Array:
    """The convolution of images with weights.

    Args:
      x: activations `[B, H, W, Cin]`.
      w: weights `[kh, kw, Cin, Cout]`.
      window: static geometry.
      exact: exact sums of any length; False may add in plain float32, where that is faster.
      codes: multiply as int8 codes, not in bfloat16.
      input_dilation: zeros are set between pixels, so that these lie this far apart.

    Returns:
      `[B, Ho, Wo, Cout]`, float32.
    """
    seen = patches(_narrow(x, codes), (w.values.shape[0], w.values.shape[1]), window, input_dilation)
    rows = x._replace(values=seen.reshape(-1, seen.shape[-1]))
    columns = w._replace(values=w.values.reshape(-1, w.values.shape[-1]))
    return dot(rows, columns, exact=exact, codes=codes).reshape(*seen.shape[:3], -1)


def input_gradient(
    error: Operand, w: Operand, *, window: Window, in_hw: tuple[int, int], exact: bool, codes: bool = False
) -> jax.Array:
    """The input gradient: errors correlated with the flipped, transposed weights.

    Args:
      error: errors of the output `[B, Ho, Wo, Cout]`.
      w: weights `[kh, kw, Cin, Cout]`.
      window: static geometry of the forward pass.
      in_hw: height and width of the input.
      exact: exact sums of any length; False may add in plain float32, where that is faster.
      codes: multiply as int8 codes, not in bfloat16.

    Returns:
      Errors of the input `[B, H, W, Cin]`, float32.
    """
    back = back_window(error.values, w.values, window, in_hw)
    flipped = w._replace(values=flip(w.values))
    return correlate(error, flipped, window=back, exact=exact, codes=codes, input_dilation=window.strides)


def weight_gradient(
    x: Operand, error: Operand, *, window: Window, kernel: tuple[int, int], exact: bool, codes: bool = False
) -> jax.Array:
    """The weight gradient: patches of the input times errors, summed over batch and positions.

    Args:
      x: activations `[B, H, W, Cin]`.
      error: errors of the output `[B, Ho, Wo, Cout]`.
      window: static geometry of the forward pass.
      kernel: kh and kw.
      exact: exact sums of any length; False may add in plain float32, where that is faster.
      codes: multiply as int8 codes, not in bfloat16.

    Returns:
      Gradient of the weights `[kh, kw, Cin, Cout]`, float32.
    """
    c_in, c_out = x.values.shape[-1], error.values.shape[-1]
    seen = patches(_narrow(x, codes), kernel, window)
    columns = x._replace(values=seen.reshape(-1, seen.shape[-1]).T)
    rows = error._replace(values=error.values.reshape(-1, c_out))
    return dot(columns, rows, exact=exact, codes=codes).reshape(*kernel, c_in, c_out)


def _narrow(x: Operand, codes: bool) -> jax.Array:
    """Values on the grid as bfloat16, or as int8 codes; done once, before patches repeat them."""
    if x.unit is None or x.values.dtype == jnp.int8:
        return x.values
    return (x.values / x.unit).astype(jnp.int8) if codes else x.values.astype(jnp.bfloat16)

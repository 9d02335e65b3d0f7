"""The contractions of a layer on an accelerator: patches and one dot product, which `vmap` batches over clients.

Operands on a grid of up to 8 bits are exact in bfloat16 (7 bits of code, 8 of significand), so tensor cores multiply
them; results are float32, and sums longer than FLOAT32_TERMS are split and added in int32. A convolution over clients
would be a grouped one, whose backward pass is as slow as a dense one.

Choice: every shape takes this one form. It has not been timed on an accelerator yet; a faster form for some shape
would be chosen here, by that shape.
"""

import jax
import jax.numpy as jnp
from jax import lax

from halo_jax.grid_sums import FLOAT32_TERMS, Operand, Window, back_window, exact_sum, flip, patches


def dot(a: Operand, b: Operand, *, exact: bool) -> jax.Array:
    """`[M, K]` times `[K, N]`."""
    if a.unit is None:
        return jnp.dot(a.values, b.values, precision=lax.Precision.HIGHEST)
    left, right = a.values.astype(jnp.bfloat16), b.values.astype(jnp.bfloat16)
    terms = left.shape[1]
    if not exact or terms <= FLOAT32_TERMS:
        return jnp.dot(left, right, preferred_element_type=jnp.float32)
    parts = -(-terms // FLOAT32_TERMS)
    size = -(-terms // parts)
    missing = (0, parts * size - terms)
    left = jnp.pad(left, ((0, 0), missing)).reshape(-1, parts, size)
    right = jnp.pad(right, (missing, (0, 0))).reshape(parts, size, -1)
    sums = lax.dot_general(left, right, (((2,), (1,)), ((1,), (0,))), preferred_element_type=jnp.float32)
    return exact_sum(sums, a, b, terms)


def correlate(x: Operand, w: Operand, *, window: Window, exact: bool, input_dilation=(1, 1)) -> jax.Array:
    """The convolution `[B, H, W, Cin]`, `[kh, kw, Cin, Cout]` -> `[B, Ho, Wo, Cout]`."""
    seen = patches(_narrow(x), (w.values.shape[0], w.values.shape[1]), window, input_dilation)
    rows = x._replace(values=seen.reshape(-1, seen.shape[-1]))
    columns = w._replace(values=w.values.reshape(-1, w.values.shape[-1]))
    return dot(rows, columns, exact=exact).reshape(*seen.shape[:3], -1)


def input_gradient(error: Operand, w: Operand, *, window: Window, in_hw: tuple[int, int], exact: bool) -> jax.Array:
    """Errors of the input `[B, H, W, Cin]`: the errors correlated with the flipped, transposed weights."""
    back = back_window(error.values, w.values, window, in_hw)
    flipped = w._replace(values=flip(w.values))
    return correlate(error, flipped, window=back, exact=exact, input_dilation=window.strides)


def weight_gradient(x: Operand, error: Operand, *, window: Window, kernel: tuple[int, int], exact: bool) -> jax.Array:
    """Sum over batch and positions of input patches times errors: `[kh, kw, Cin, Cout]`."""
    c_in, c_out = x.values.shape[-1], error.values.shape[-1]
    seen = patches(_narrow(x), kernel, window)
    columns = x._replace(values=seen.reshape(-1, seen.shape[-1]).T)
    rows = error._replace(values=error.values.reshape(-1, c_out))
    return dot(columns, rows, exact=exact).reshape(*kernel, c_in, c_out)


def _narrow(x: Operand) -> jax.Array:
    """Values on the grid as bfloat16 before patches repeat them."""
    return x.values if x.unit is None else x.values.astype(jnp.bfloat16)

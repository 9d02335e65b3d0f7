"""Convolution and dense product on the grid, with their own backward rules: exact and fast.

The errors that come back are fitted to their grid, and forward, input-gradient and weight-gradient contractions run in
canonical form with exact sums (`canonical.py`). Under `vmap` a contraction runs client by client: batched weights would
become a grouped convolution, which is ten times slower on a CPU.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap

from halo_jax import canonical
from halo_jax.canonical import Window
from halo_jax.quantize import fit_errors, step_size
from halo_jax.types import LayerShape, Precision

_recorded: contextvars.ContextVar[list[LayerShape] | None] = contextvars.ContextVar("recorded", default=None)


@contextlib.contextmanager
def record_shapes() -> Iterator[list[LayerShape]]:
    """Collect the LayerShape of every `conv` and `dense` that is traced inside the `with` block, in order."""
    shapes: list[LayerShape] = []
    token = _recorded.set(shapes)
    try:
        yield shapes
    finally:
        _recorded.reset(token)


def _record(shape: LayerShape) -> None:
    shapes = _recorded.get()
    if shapes is not None:
        shapes.append(shape)


def conv(x: jax.Array, w: jax.Array, precision: Precision | None, window: Window, exact: bool = True) -> jax.Array:
    """Convolve activations with weights, both on their grids.

    Args:
      x: `[B, H, W, Cin]` on the grid of `precision.activations`.
      w: `[kh, kw, Cin, Cout]` on the grid of `precision.weights`.
      precision: traced bits, at most 8 each; the errors of the backward pass are fitted to `precision.errors` bits.
        None: plain float32 operands, errors and sums.
      window: static geometry.
      exact: exact sums for any operands; False adds in plain float32.

    Returns:
      `[B, Ho, Wo, Cout]`, float32.
    """
    kh, kw, c_in, c_out = w.shape
    y = halo_conv(x, w, precision, window, exact and precision is not None)
    _record(LayerShape((kh, kw), c_in, c_out, y.shape[1:3], window.strides, window.dilation))
    return y


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _conv(x, w, precision, window, exact):
    return _conv_forward(x, w, precision, window, exact)[0]


@functools.partial(jax.jit, static_argnums=(3, 4))
def halo_conv(x, w, precision, window, exact):
    """`conv` as one named node of the traced program."""
    return _conv(x, w, precision, window, exact)


def _conv_forward(x, w, precision, window, exact):
    unit = _units(precision)[0]
    contract = functools.partial(canonical.correlate, window=window, exact=exact)
    return sequential_vmap(contract)(x, w, unit), (x, w, precision)


def _conv_backward(window, exact, residuals, error):
    x, w, precision = residuals
    error, (_, dx_unit, dw_unit) = _fit(error, precision)
    input_gradient = functools.partial(canonical.input_gradient, window=window, in_hw=x.shape[1:3], exact=exact)
    weight_gradient = functools.partial(canonical.weight_gradient, window=window, kernel=w.shape[:2], exact=exact)
    dx = sequential_vmap(input_gradient)(error, w, dx_unit)
    dw = sequential_vmap(weight_gradient)(x, error, dw_unit)
    return dx, dw, None


_conv.defvjp(_conv_forward, _conv_backward)


def dense(x: jax.Array, w: jax.Array, precision: Precision | None, exact: bool = True) -> jax.Array:
    """Multiply activations `[P, Cin]` by weights `[Cin, Cout]`, both on their grids; `[P, Cout]` as `conv`."""
    c_in, c_out = w.shape
    _record(LayerShape((1, 1), c_in, c_out, (x.shape[0], 1)))  # rows are positions: shapes are recorded at batch 1
    return halo_dense(x, w, precision, exact and precision is not None)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _dense(x, w, precision, exact):
    return _dense_forward(x, w, precision, exact)[0]


@functools.partial(jax.jit, static_argnums=3)
def halo_dense(x, w, precision, exact):
    """`dense` as one named node of the traced program."""
    return _dense(x, w, precision, exact)


def _dense_forward(x, w, precision, exact):
    return sequential_vmap(functools.partial(canonical.dot, exact=exact))(x, w, _units(precision)[0]), (x, w, precision)


def _dense_backward(exact, residuals, error):
    x, w, precision = residuals
    error, (_, dx_unit, dw_unit) = _fit(error, precision)
    dot = sequential_vmap(functools.partial(canonical.dot, exact=exact))
    dx = dot(error, w.T, dx_unit)
    dw = dot(x.T, error, dw_unit)
    return dx, dw, None


_dense.defvjp(_dense_forward, _dense_backward)


def _units(precision: Precision | None, error_unit: Any = 1.0) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The grid steps of forward, input-gradient and weight-gradient products."""
    if precision is None:
        one = jnp.ones(())
        return one, one, one
    activation, weight = step_size(precision.activations), step_size(precision.weights)
    return activation * weight, error_unit * weight, error_unit * activation


def _fit(error: jax.Array, precision: Precision | None):
    """Errors on their grid, and the units of the products that they enter."""
    if precision is None:
        return error, _units(None)
    error, unit = fit_errors(error, precision.errors)
    return error, _units(precision, unit)

"""The k-bit grid and the quantisers of WAGE: weights, activations, errors, and stochastic rounding.

With sigma(k) = 2^(1-k), S(k) = 2^(k-1) and M(k) = S(k) - 1, the grid of k bits is n * sigma(k) for whole |n| <= M(k).
Values are carried as float32 on the grid, which is exact; bits may be traced int32, so one compiled program serves
every precision.

  quantize_weight       forward Q(w, k)     backward: straight through
  quantize_activation   forward Q(a, k)     backward: passes where |a| <= 1 - sigma(k), compared before rounding
  quantize_error        forward identity    backward: Q(e / Shift(max|e|), k)

Source: Wu et al., "Training and Inference with Integers in Deep Neural Networks", ICLR 2018 (arXiv 1802.04680).
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from halo_jax.numerics import native

_MANTISSA = 0x7FFFFF
_EXPONENT = 0x7F800000
_SQRT2_MANTISSA = 0x3504F3  # mantissa field of the float32 just below sqrt(2)


def step_size(bits: Any) -> jax.Array:
    """sigma(k) = 2^(1-k), float32, exact also for traced bits (built from the exponent field)."""
    return lax.bitcast_convert_type((128 - jnp.asarray(bits, jnp.int32)) << 23, jnp.float32)


def levels(bits: Any) -> jax.Array:
    """S(k) = 2^(k-1) = 1 / sigma(k), float32, exact."""
    return lax.bitcast_convert_type((126 + jnp.asarray(bits, jnp.int32)) << 23, jnp.float32)


def to_grid(x: jax.Array, bits: Any) -> jax.Array:
    """Q(x, k) = sigma(k) * clip(round(x / sigma(k)), -M(k), M(k)), half to even. Not differentiable by itself.

    Args:
      x: float32, any shape.
      bits: k, 2 to 8 for operands of exact sums; an int or traced int32.

    Returns:
      float32 of x's shape, within 1 - sigma(k) of zero.
    """
    scale = levels(bits)
    return jnp.clip(jnp.round(x * scale), 1 - scale, scale - 1) * step_size(bits)


def shift(x: jax.Array, mode: str = "round") -> jax.Array:
    """Shift(x) = 2^round(log2 x) for x >= 0, with Shift(0) = 1.

    Reads the float's own fields: the exponent, plus one when the mantissa lies above sqrt(2) (above 1 for `ceil`).
    exp2 and log2 are inexact on some backends.

    Args:
      x: float32, any shape, not negative.
      mode: `round`, or `ceil`, which takes 2^ceil(log2 x).

    Returns:
      float32 powers of two of x's shape.
    """
    threshold = _SQRT2_MANTISSA if mode == "round" else 0
    fields = lax.bitcast_convert_type(jnp.asarray(x, jnp.float32), jnp.int32)
    power = lax.bitcast_convert_type((fields + (_MANTISSA - threshold)) & _EXPONENT, jnp.float32)
    return jnp.where(power > 0, power, 1.0)


def host_shift(x: float) -> float:
    """Shift of a static Python number, as a Python float."""
    mantissa, exponent = np.frexp(x)  # x = mantissa * 2^exponent, mantissa in [1/2, 1)
    return float(np.ldexp(1.0, int(exponent) - int(mantissa < 2**-0.5)))


def floor_power(x: jax.Array) -> jax.Array:
    """2^floor(log2 x) for float32 x >= 0, and 1 where x is zero (or too small for a normal float32)."""
    power = lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.int32) & _EXPONENT, jnp.float32)
    return jnp.where(power > 0, power, 1.0)


def uniform_16(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform numbers in [0, 1) in steps of 2^-16, float32 of `shape`: 16 random bits a draw."""

    def by_jax(key: jax.Array) -> jax.Array:
        return jax.random.bits(key, shape, jnp.uint16).astype(jnp.float32) * 2.0**-16

    on_cpu = functools.partial(native.uniform_16, shape=shape) if native.draws_alike(key) else by_jax
    return lax.platform_dependent(key, cpu=on_cpu, default=by_jax)


def uniform_like(key: jax.Array, tree: Any) -> Any:
    """`uniform_16` for every tensor of a tree from one draw over all of them: one hash to compile instead of many.

    Args:
      key: random key.
      tree: arrays, of which only shapes and structure count.

    Returns:
      The same tree of float32 in [0, 1).
    """
    leaves, structure = jax.tree.flatten(tree)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = jnp.split(uniform_16(key, (int(ends[-1]),)), ends[:-1])
    return structure.unflatten([part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])


def stochastic_round(x: jax.Array, noise: jax.Array) -> jax.Array:
    """SR(x) = floor(x + u) with noise u ~ U[0, 1) of x's shape: unbiased, and a whole number stays itself.

    Exact for noise in steps of 2^-24. Noise sees nothing of x below its own steps, so that is cut off first; what is
    left of x above its floor then adds to u without rounding, also where XLA fuses the product that made x.

    Args:
      x: float32, any shape.
      noise: u, float32 of x's shape.

    Returns:
      Whole numbers, float32 of x's shape.
    """
    cut = jnp.floor(x * 2.0**24) * 2.0**-24
    whole = jnp.floor(cut)
    return whole + jnp.floor(cut - whole + noise)


@jax.custom_vjp
def quantize_weight(weight: jax.Array, bits: Any) -> jax.Array:
    """Q(w, k); the gradient passes straight through, without a clip mask.

    Args:
      weight: float32, any shape.
      bits: k, an int or traced int32.

    Returns:
      float32 on the grid of k bits.
    """
    return to_grid(weight, bits)


def _weight_forward(weight, bits):
    return to_grid(weight, bits), None


def _weight_backward(_, gradient):
    return gradient, None


quantize_weight.defvjp(_weight_forward, _weight_backward)


@jax.custom_vjp
def quantize_activation(activation: jax.Array, bits: Any) -> jax.Array:
    """Q(a, k); errors pass where |a| <= 1 - sigma(k), compared before rounding.

    Args:
      activation: float32, any shape.
      bits: k, an int or traced int32.

    Returns:
      float32 on the grid of k bits.
    """
    return to_grid(activation, bits)


def _activation_forward(activation, bits):
    passes = jnp.abs(activation) <= 1 - step_size(bits)
    return to_grid(activation, bits), passes


def _activation_backward(passes, error):
    return jnp.where(passes, error, 0.0), None


quantize_activation.defvjp(_activation_forward, _activation_backward)


@jax.custom_vjp
def _quantize_error(x: jax.Array, bits: Any, noise_key: Any, ceil: Any) -> jax.Array:
    del bits, noise_key, ceil
    return x


def _error_forward(x, bits, noise_key, ceil):
    return x, (bits, noise_key, ceil)


def _error_backward(residuals, error):
    bits, noise_key, ceil = residuals
    peak = jnp.max(jnp.abs(error), initial=0.0)
    scaled = error / (shift(peak, "ceil") if ceil is not None else shift(peak))
    if noise_key is not None:
        scaled = stochastic_round(scaled * levels(bits), uniform_16(noise_key, error.shape)) * step_size(bits)
    return to_grid(scaled, bits), None, None, None


_quantize_error.defvjp(_error_forward, _error_backward)


def quantize_error(x: jax.Array, bits: Any, key: jax.Array | None = None, *, shift_mode: str = "round") -> jax.Array:
    """Identity forward; backward Q_E(e) = Q(e / Shift(max|e|), k), the maximum taken over the whole tensor.

    Args:
      x: float32, any shape.
      bits: error bits k, an int or traced int32.
      key: random key of stochastic rounding; None rounds to nearest.
      shift_mode: how Shift picks its power of two, `round` or `ceil`.

    Returns:
      x.
    """
    return _quantize_error(x, bits, key, True if shift_mode == "ceil" else None)


def fit_errors(error: jax.Array, bits: Any) -> tuple[jax.Array, jax.Array]:
    """Errors on a k-bit grid of their own scale: (values, unit), values = whole numbers |n| <= M(k) times unit.

    The unit is the smallest power of two at which nothing is clipped, so errors that are on a k-bit grid of any scale
    come back as they are, and others (an average pool between two layers, say) are rounded to k bits.

    Args:
      error: float32, any shape.
      bits: k, an int or traced int32.

    Returns:
      The fitted errors, float32 of the same shape, and their unit, float32 `[]`.
    """
    peak = jnp.max(jnp.abs(error), initial=0.0)
    floor = floor_power(peak)
    sigma = step_size(bits)
    unit = jnp.where(peak <= 2 * floor * (1 - sigma), 2 * floor, 4 * floor) * sigma
    return jnp.round(error / unit) * unit, unit

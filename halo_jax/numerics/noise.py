"""Gaussian noise of crossbars and images (the paper's Table III), in whole numbers: the same bits on every machine.

A crossbar that is told to hold the grid value v holds v + n, n ~ N(0, sd^2), where sd is a fraction of |v| or of the
largest value of the grid. Where values are crossbar content, and where they are currents that enter, is the paper's:

    forward           y  = sum(a * W~)        weights are programmed
    input gradient    dx = sum(e * W~)        weights are programmed, errors enter
    weight gradient   dW = sum(a * E~)        errors are programmed, activations enter

The gradient of the noise itself is zero: dW goes to the weights that were meant. Source: the paper, sections III-B and
IV ("Robustness to Noise").
"""

import functools
import statistics

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.numerics.exact_sums import Operand
from halo_jax.numerics.quantize import levels, step_size, uniform_16
from halo_jax.types import Noise

# Choice: noise is rounded to 1/2048 of a grid's range, 1/16 of a step at 8 bits, so that sums of products stay exact.
FINE_STEPS = 2048
GREY_STEPS = 16  # and to 1/16 of a grey level in images
_RADIX = 128  # v + n is _RADIX * high + low fine steps, each of the two at most 127 in size
_UNIT = 1024  # of standard normal numbers


@functools.cache
def normal_quantiles() -> np.ndarray:
    """A standard normal number in units of 1/1024 for each of 2^16 equally likely draws, int16, ascending.

    The quantiles at (u + 1/2) / 2^16: none is beyond 4.33 standard deviations.
    """
    # Choice: a table, not erf_inv, whose last bits differ from machine to machine.
    upper = [round(_UNIT * statistics.NormalDist().inv_cdf((u + 0.5) / 2**16)) for u in range(2**15, 2**16)]
    return np.array([*(-z for z in reversed(upper)), *upper], np.int16)


def gaussian(key: jax.Array, scale: jax.Array, fraction: float) -> jax.Array:
    """Whole numbers from N(0, (fraction * scale)^2), rounded, for `scale` int32 of up to 4080; int32 of its shape."""
    index = (uniform_16(key, scale.shape) * 2.0**16).astype(jnp.int32)
    normal = jnp.asarray(normal_quantiles()).at[index].get(mode="promise_in_bounds")
    # One product of floats, rounded at once: nothing that a compiler could reorder.
    return jnp.round((scale * normal).astype(jnp.float32) * np.float32(fraction / _UNIT)).astype(jnp.int32)


def program_weights(weights: Operand, bits: jax.Array, noise: Noise, key: jax.Array | None, read: int) -> list[Operand]:
    """What the crossbars hold in place of weights: w + n, n ~ N(0, sd^2).

    Args:
      weights: on the grid of `bits`, of any shape.
      bits: of one weight, traced, at most 8.
      noise: its `weights` is sd as a fraction of |w| or of the largest value of the grid.
      key: the step's, or that of the programming; None: no noise.
      read: numbers the passes that use one programming: each has a draw of its own if noise is per read.

    Returns:
      Operands that add up to what is held: one without noise, else two of 8 bits.
    """
    if key is None or noise.weights == 0:
        return [weights]
    key = jax.random.fold_in(key, read if noise.per == "read" else 0)
    return _split(weights, _perturb(weights, bits, noise.weights, noise, key), bits)


def program_errors(errors: Operand, bits: jax.Array, noise: Noise, key: jax.Array | None) -> list[Operand]:
    """What the crossbars hold in place of errors, which are programmed once a step: e + n, n ~ N(0, sd^2).

    Args:
      errors: `[B, ...]` on the grid of `bits`.
      bits: of one error, traced, at most 8.
      noise: its `errors` is sd as a fraction of |e| or of the largest value of the grid.
      key: the step's; None: no noise.

    Returns:
      Operands that add up to what is held: one without noise, else two of 8 bits.
    """
    if key is None or noise.errors == 0:
        return [errors]
    codes = _perturb(errors, bits, noise.errors, noise, jax.random.fold_in(key, _ERRORS))
    if noise.relative_to == "range":  # Choice: examples without any error, such as padding, are not programmed
        programmed = (errors.values != 0).any(tuple(range(1, errors.values.ndim)), keepdims=True)
        codes = jnp.where(programmed, codes, 0)
    return _split(errors, codes, bits)


_ERRORS = 2  # weights draw from 0 and 1


def _fine(stored: Operand, bits: jax.Array) -> jax.Array:
    return stored.unit * levels(bits) / FINE_STEPS


def _perturb(stored: Operand, bits: jax.Array, fraction: float, noise: Noise, key: jax.Array) -> jax.Array:
    """Values with their noise in fine steps, int32: at most 2032 and 4.33 * 2032, so nothing is ever clipped."""
    codes = (stored.values / _fine(stored, bits)).astype(jnp.int32)
    largest = (FINE_STEPS * (1 - step_size(bits))).astype(jnp.int32)
    scale = jnp.abs(codes) if noise.relative_to == "value" else jnp.broadcast_to(largest, codes.shape)
    return codes + gaussian(key, scale, fraction)


def _split(stored: Operand, codes: jax.Array, bits: jax.Array) -> list[Operand]:
    """Codes of 15 bits as two operands of 8 bits, which kernels take.

    Noise alone as the second operand would not fit 8 bits in such fine steps.
    """
    high = (codes + _RADIX // 2) // _RADIX
    return [
        Operand(digits.astype(jnp.float32) * unit, unit)
        for digits, unit in ((high, _RADIX * _fine(stored, bits)), (codes - _RADIX * high, _fine(stored, bits)))
    ]


def perturb_images(images: jax.Array, noise: Noise, key: jax.Array) -> jax.Array:
    """uint8 images with noise in grey levels, float32, relative to each pixel or to 255; not clipped to 0..255."""
    grey = GREY_STEPS * images.astype(jnp.int32)
    scale = grey if noise.relative_to == "value" else jnp.full_like(grey, 255 * GREY_STEPS)
    return (grey + gaussian(key, scale, noise.inputs)).astype(jnp.float32) / GREY_STEPS

"""Block floating point: operands are integers of a few bits that share an exponent in blocks; the master is WAGE's.

A block of values x has the exponent E = floor(log2 max|x|), and in k bits

    Q(x) = n 2^(E + 2 - k),   n = clip(round(x 2^(k - 2 - E)), -M(k), M(k)),   M(k) = 2^(k-1) - 1

so that its largest value always uses the grid's upper half: nothing overflows, and small activations are no zeros. With
the power of two s = 2^(E + 1) this is s times WAGE's grid, Q(x) = s Q(x / s, k), so a layer multiplies mantissas x / s
on crossbars as WAGE multiplies codes, and shifts the sums. For precision (bw, ba, be), mantissas a and w of scales s
(an example) and t (an output channel), and the errors e of y,

    forward    y = s t sum(a * w) / alpha
    backward   d = Q(s t e / alpha),   dW = sum(a * d) / t,   dx = sum(w * d) / s

The scales go into the errors before those are rounded, once, in one block: then both gradients are sums of codes too,
as exact as WAGE's. The int8 master, its step, the loss, alpha and what travels are those of `wage`.

Exponents are not priced: 8 bits a block, one addition and a shift a sum, beside a crossbar. Source: Li et al., NeurIPS
2024 (LPT-FL); its quantiser is the block floating point of SWALP, Yang et al., ICML 2019 (arXiv 1904.11943).
"""

import dataclasses
import functools
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.numerics.arithmetic import Draw, Product
from halo_jax.numerics.quantize import floor_power, levels, step_size, stochastic_round, to_grid, uniform_16
from halo_jax.numerics.wage import Numerics
from halo_jax.parameters import bits_or_none, rates, real, whole
from halo_jax.recipes.base import Recipe
from halo_jax.recipes.wage import LEARNING_RATES, wage
from halo_jax.types import Precision


class Blocks(NamedTuple):
    """A tensor in blocks: `mantissas` float32 on the grid, and `scale`, powers of two that broadcast over them."""

    mantissas: jax.Array
    scale: jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def to_blocks(x: jax.Array, bits: Any, axes: tuple[int, ...]) -> Blocks:
    """Round to nearest in blocks; the gradient passes straight through.

    Args:
      x: float32, any shape.
      bits: k of the mantissas, an int or traced int32.
      axes: of x, which a block covers; the others number the blocks.

    Returns:
      Mantissas of x's shape, and scales with the `axes` kept at length 1.
    """
    return _round(x, bits, axes)


def _round(x: jax.Array, bits: Any, axes: tuple[int, ...]) -> Blocks:
    # Choice: codes are clipped symmetrically, as WAGE's: -2^(k-1), LPT-FL's lowest, would break exact sums at 8 bits.
    # Choice: to nearest. LPT-FL rounds stochastically, which it must, having no master copy.
    scale = _scale(x, axes)
    return Blocks(to_grid(x / scale, bits), scale)


def _scale(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """s = 2^(E + 1); 2 for a block of zeros."""
    return 2 * floor_power(jnp.max(jnp.abs(x), axis=axes, keepdims=True, initial=0.0))


def _blocks_forward(x, bits, axes):
    blocks = _round(x, bits, axes)
    return blocks, blocks.scale


def _blocks_backward(axes, scale, gradient: Blocks):
    del axes
    return gradient.mantissas / scale, None


to_blocks.defvjp(_blocks_forward, _blocks_backward)


@jax.custom_vjp
def quantize_error(x: jax.Array, bits: Any, key: jax.Array | None = None) -> jax.Array:
    """Identity forward; backward errors are rounded in one block, the whole tensor.

    Args:
      x: float32, any shape.
      bits: error bits k, an int or traced int32.
      key: random key of stochastic rounding; None rounds to nearest.

    Returns:
      x.
    """
    del bits, key
    return x


def _error_forward(x, bits, key):
    return x, (bits, key)


def _error_backward(residuals, error):
    bits, key = residuals
    scale = _scale(error, tuple(range(error.ndim)))
    scaled = error / scale
    if key is not None:
        scaled = stochastic_round(scaled * levels(bits), uniform_16(key, error.shape)) * step_size(bits)
    return to_grid(scaled, bits) * scale, None, None


quantize_error.defvjp(_error_forward, _error_backward)


@dataclasses.dataclass(frozen=True)
class BlockFloat(Numerics):
    """WAGE's arithmetic on mantissas, whose blocks have exponents; of the options, `order` and `shift` are not read."""

    def quantize_input(self, x: jax.Array, precision: Precision, draw: Draw) -> Blocks:
        """Activations of ba bits, a block for each example `[H, W, C]` or row `[C]`."""
        # Choice: not one block for the batch, as in LPT-FL's code: padding and the images that an evaluation happens to
        # take together would change an example's numbers, and a device that streams examples has no batch.
        del draw
        return to_blocks(x, precision.activations, tuple(range(1, x.ndim)))

    def quantize_weight(self, weight: jax.Array, precision: Precision) -> Blocks:
        """Weights of bw bits, a block for each output channel."""
        return to_blocks(weight, precision.weights, tuple(range(weight.ndim - 1)))

    def dead_codes(self, activations: Blocks, precision: Precision) -> jax.Array:
        """Whether the mantissas of the activations are all zero, and all saturated: bool `[2]`."""
        return super().dead_codes(activations.mantissas, precision)

    def contract(
        self, product: Product, activations: Blocks, weights: Blocks, precision: Precision, draw: Draw
    ) -> jax.Array:
        """s t sum(a * w); backward, errors are scaled and then rounded to be bits."""
        sums = super().contract(product, activations.mantissas, weights.mantissas, precision, draw)
        key = draw("error") if self.error_rounding == "stochastic" else None
        # Choice: scales go into the errors before those are rounded; after it, sums over examples would not be exact.
        scale = jax.lax.stop_gradient(activations.scale) * jax.lax.stop_gradient(weights.scale)
        return quantize_error(sums, precision.errors, key) * scale

    def quantize_output(self, y: jax.Array, precision: Precision, draw: Draw, *, head: bool) -> jax.Array:
        """The output itself: the next layer rounds it."""
        del precision, draw, head
        return y


def bfp(
    *,
    loss: Literal["sse", "cross_entropy"] = "sse",
    gradient_bits: Annotated[int, whole(8, 12)] = 8,
    min_limit: Annotated[float, real(0, 1, above=True)] = 0.75,
    input_bits: Annotated[int, bits_or_none()] = 0,
    error_rounding: Literal["nearest", "stochastic"] = "nearest",
    aggregation: Literal["stochastic", "nearest", "none"] = "stochastic",
    learning_rates: Annotated[tuple[float, ...], rates()] = LEARNING_RATES,
    exact: bool = True,
) -> Recipe:
    """Training in block floating point, with the master and the steps of `wage`.

    Args:
      loss: of training.
      gradient_bits: kG, of the master weights and their steps.
      min_limit: L_min of initial weights and layer scale.
      input_bits: of the input image; 0: the client's activation bits.
      error_rounding: of errors.
      aggregation: how the server rounds to the master's grid; none keeps float32.
      learning_rates: one for each phase of the schedule.
      exact: sums of products are exact for any input; else plain float32 sums run where they are faster.
    """
    master = wage(loss=loss, gradient_bits=gradient_bits, aggregation=aggregation, learning_rates=learning_rates)
    blocks = BlockFloat(min_limit=min_limit, input_bits=input_bits, error_rounding=error_rounding, exact=exact)
    return master._replace(numerics=blocks)

"""Low-precision linen layers: `jax.grad` of any model built of them has weights, activations and errors on their grids.

A layer quantises what its crossbars see: the weights that they hold, the activations that enter, and the errors that
come back. How, is its `numerics`: WAGE's arithmetic (`wage.py`) unless another is given, plain float32 with None.

    logits = QuantDense(10, head=True)(relu(QuantConv(16)(images, precision)).reshape(n, -1), precision)
"""

import functools
import math

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from halo_jax.numerics import contraction, dead_layers
from halo_jax.numerics.arithmetic import FLOAT32, Arithmetic, Product
from halo_jax.numerics.exact_sums import Window
from halo_jax.numerics.wage import DEFAULT
from halo_jax.types import Precision


class _QuantLayer(nn.Module):
    """What a convolution and a dense layer share: the weights, and the order in which their arithmetic is called."""

    def _run(
        self,
        x: jax.Array,
        shape: tuple[int, ...],
        precision: Precision | None,
        numerics: Arithmetic | None,
        head: bool,
        product: Product,
    ) -> jax.Array:
        arithmetic = numerics or FLOAT32
        fan_in = math.prod(shape[:-1])
        limit = arithmetic.weight_limit(fan_in)
        kernel = self.param("kernel", lambda key: jax.random.uniform(key, shape, jnp.float32, -limit, limit))
        bits = arithmetic.bits(precision)
        activations = arithmetic.quantize_input(x, bits, self.make_rng)
        self.sow(dead_layers.COLLECTION, dead_layers.NAME, arithmetic.dead_codes(activations, bits))
        weights = arithmetic.quantize_weight(kernel, bits)
        sums = arithmetic.contract(product, activations, weights, bits, self.make_rng)
        return arithmetic.quantize_output(arithmetic.scale_sums(sums, fan_in), bits, self.make_rng, head=head)


class QuantConv(_QuantLayer):
    """A 2-D convolution without bias, `[B, H, W, Cin]` -> `[B, Ho, Wo, features]`.

    Attributes:
      features: output channels.
      kernel_size, strides, dilation: (height, width).
      padding: "SAME", "VALID" or explicit ((top, bottom), (left, right)).
      head: this layer makes the logits: its output is not an activation, and the loss's errors are quantised here.
      numerics: the arithmetic, a recipe's or `Numerics()`; None makes a plain float32 layer that ignores precision.
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: str | tuple[tuple[int, int], tuple[int, int]] = "SAME"
    dilation: tuple[int, int] = (1, 1)
    head: bool = False
    numerics: Arithmetic | None = DEFAULT

    @nn.compact
    def __call__(self, x: jax.Array, precision: Precision | None = None) -> jax.Array:
        """Apply the layer.

        Args:
          x: float32 `[B, H, W, Cin]`.
          precision: traced bits, one per dimension; None for float32 layers alone.

        Returns:
          float32 `[B, Ho, Wo, features]`.

        Raises:
          ValueError: a precision that is missing, or a kernel that does not fit into the padded images; one line.
        """
        chex.assert_rank(x, 4)
        product = functools.partial(contraction.conv, window=self._window(x.shape[1:3]))
        shape = (*self.kernel_size, x.shape[-1], self.features)
        return self._run(x, shape, precision, self.numerics, self.head, product)

    def _window(self, in_hw: tuple[int, ...]) -> Window:
        """The window with its padding in pixels, over images of `in_hw`."""
        if not isinstance(self.padding, str):
            return Window(self.strides, self.padding, self.dilation)
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        pads = jax.lax.padtype_to_pads(in_hw, reach, self.strides, self.padding)
        return Window(self.strides, ((pads[0][0], pads[0][1]), (pads[1][0], pads[1][1])), self.dilation)


class QuantDense(_QuantLayer):
    """A dense layer without bias over the last axis, `[..., Cin]` -> `[..., features]`.

    Attributes:
      features: output channels.
      head: this layer makes the logits: its output is not an activation, and the loss's errors are quantised here.
      numerics: the arithmetic, a recipe's or `Numerics()`; None makes a plain float32 layer that ignores precision.
    """

    features: int
    head: bool = False
    numerics: Arithmetic | None = DEFAULT

    @nn.compact
    def __call__(self, x: jax.Array, precision: Precision | None = None) -> jax.Array:
        """Apply the layer.

        Args:
          x: float32 `[..., Cin]`.
          precision: traced bits, one per dimension; None for float32 layers alone.

        Returns:
          float32 `[..., features]`.

        Raises:
          ValueError: a precision that is missing.
        """
        flat = x.reshape(-1, x.shape[-1])
        y = self._run(flat, (x.shape[-1], self.features), precision, self.numerics, self.head, contraction.dense)
        return y.reshape(*x.shape[:-1], self.features)


@jax.custom_vjp
def max_pool(x: jax.Array) -> jax.Array:
    """2x2 max-pool, stride 2, VALID: an odd last row or column is dropped.

    The error goes to the first maximum in row-major order and is never split: on a grid ties are common.

    Args:
      x: float32 `[B, H, W, C]`.

    Returns:
      float32 `[B, H//2, W//2, C]`.
    """
    return _pool_forward(x)[0]


def _corners(x: jax.Array) -> list[jax.Array]:
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return [x[:, i:height:2, j:width:2] for i in range(2) for j in range(2)]


def _pool_forward(x):
    best = _corners(x)[0]
    winner = jnp.zeros(best.shape, jnp.int8)
    for index, corner in enumerate(_corners(x)[1:], start=1):
        winner = jnp.where(corner > best, jnp.int8(index), winner)
        best = jnp.maximum(corner, best)
    return best, (winner, jnp.zeros((x.shape[1] % 2, x.shape[2] % 2, 0)))


def _pool_backward(residuals, error):
    winner, odd = residuals
    batch, height, width, channels = error.shape
    windows = (batch, height, 2, width, 2, channels)

    def spread(pooled: jax.Array) -> jax.Array:
        return jax.lax.broadcast_in_dim(pooled, windows, (0, 1, 3, 5))

    row, column = (jax.lax.broadcasted_iota(jnp.int8, windows, axis) for axis in (2, 4))
    full = jnp.where(spread(winner) == 2 * row + column, spread(error), 0.0)
    full = full.reshape(batch, 2 * height, 2 * width, channels)
    return (jnp.pad(full, ((0, 0), (0, odd.shape[0]), (0, odd.shape[1]), (0, 0))),)


max_pool.defvjp(_pool_forward, _pool_backward)

"""Low-precision linen layers: `jax.grad` of any model built of them has weights, activations and errors on their grids.

A layer quantises what its crossbars see: the weights it programs, the activations that enter, and the errors that
come back. With `order="wage"` one layer computes, for precision (bw, ba, be),

    forward    a = Q(x, ba),  w = Q(W, bw),  y = sum(a * w) / alpha
    backward   dW = sum(a * e),  dx = Q_E(pass * sum(w * e), be),  pass = |x| <= 1 - sigma(ba)

so that in `QuantConv -> max_pool -> relu -> QuantConv` errors are quantised between the activation's clip mask and
ReLU', as in WAGE. alpha = max(Shift(L_min / sqrt(3 / fan_in)), 1) is a power of two that keeps activations in range.

    logits = QuantDense(10, head=True)(relu(QuantConv(16)(images, precision)).reshape(n, -1), precision)

Source: Wu et al., ICLR 2018 (arXiv 1802.04680), sections 3.2 and 3.3; L_min = 0.75 at every weight width.
"""

import math
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import linen as nn

from halo_jax.numerics import contraction, dead_layers
from halo_jax.numerics.exact_sums import Window
from halo_jax.numerics.quantize import (
    DEFAULT,
    Numerics,
    host_shift,
    quantize_activation,
    quantize_error,
    quantize_weight,
)
from halo_jax.types import Precision


def weight_limit(fan_in: int, numerics: Numerics | None) -> float:
    """L of the initial weights U(-L, L): max(sqrt(3 / fan_in), L_min); He's sqrt(6 / fan_in) without numerics."""
    return math.sqrt(6 / fan_in) if numerics is None else max(math.sqrt(3 / fan_in), numerics.min_limit)


def layer_scale(fan_in: int, numerics: Numerics | None) -> float:
    """alpha = max(Shift(L_min / sqrt(3 / fan_in)), 1), the divisor of a layer's output."""
    # Choice: alpha does not depend on the weight bits, so clients of all precisions share one model.
    return 1.0 if numerics is None else max(host_shift(numerics.min_limit / math.sqrt(3 / fan_in)), 1.0)


class _QuantLayer(nn.Module):
    """What a convolution and a dense layer share: the weights, and quantising what enters and leaves."""

    def _run(
        self,
        x: jax.Array,
        shape: tuple[int, ...],
        precision: Precision | None,
        numerics: Numerics | None,
        head: bool,
        contract: Callable[..., jax.Array],
    ) -> jax.Array:
        fan_in = math.prod(shape[:-1])
        limit = weight_limit(fan_in, numerics)
        kernel = self.param("kernel", lambda key: jax.random.uniform(key, shape, jnp.float32, -limit, limit))
        if numerics is None:
            return contract(x, kernel, None)
        if precision is None:
            raise ValueError("precision is None: low-precision layers need bits; for float32 layers set numerics=None")
        if numerics.order == "wage":
            x = self._quantize_error(x, precision, numerics)
        x = quantize_activation(x, precision.activations)
        self.sow(dead_layers.COLLECTION, dead_layers.NAME, dead_layers.dead_codes(x, precision.activations))
        weight = quantize_weight(kernel, precision.weights)
        key = self.make_rng("noise") if numerics.noise.in_crossbars else None
        y = contract(x, weight, precision, numerics.exact, numerics.noise, key) / layer_scale(fan_in, numerics)
        if numerics.order == "neurosim" and not head:
            y = quantize_activation(y, precision.activations)
        return self._quantize_error(y, precision, numerics) if head or numerics.order == "neurosim" else y

    def _quantize_error(self, x: jax.Array, precision: Precision, numerics: Numerics) -> jax.Array:
        key = self.make_rng("error") if numerics.error_rounding == "stochastic" else None
        return quantize_error(x, precision.errors, numerics, key)


class QuantConv(_QuantLayer):
    """A 2-D convolution without bias, `[B, H, W, Cin]` -> `[B, Ho, Wo, features]`.

    Attributes:
      features: output channels.
      kernel_size, strides, dilation: (height, width).
      padding: "SAME", "VALID" or explicit ((top, bottom), (left, right)).
      head: this layer makes the logits: its output is not an activation, and the loss's errors are quantised here.
      numerics: the arithmetic; None makes a plain float32 layer that ignores precision.
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: str | tuple[tuple[int, int], tuple[int, int]] = "SAME"
    dilation: tuple[int, int] = (1, 1)
    head: bool = False
    numerics: Numerics | None = DEFAULT

    @nn.compact
    def __call__(self, x: jax.Array, precision: Precision | None = None) -> jax.Array:
        """Apply the layer at `precision` (traced bits, one per dimension)."""
        chex.assert_rank(x, 4)
        window = Window(self.strides, self._padding(x.shape[1:3]), self.dilation)
        shape = (*self.kernel_size, x.shape[-1], self.features)
        contract = lambda x, w, p, *how: contraction.conv(x, w, p, window, *how)  # noqa: E731
        return self._run(x, shape, precision, self.numerics, self.head, contract)

    def _padding(self, in_hw: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
        if not isinstance(self.padding, str):
            return self.padding
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        pads = jax.lax.padtype_to_pads(in_hw, reach, self.strides, self.padding)
        return (pads[0][0], pads[0][1]), (pads[1][0], pads[1][1])


class QuantDense(_QuantLayer):
    """A dense layer without bias over the last axis, `[..., Cin]` -> `[..., features]`; attributes as `QuantConv`."""

    features: int
    head: bool = False
    numerics: Numerics | None = DEFAULT

    @nn.compact
    def __call__(self, x: jax.Array, precision: Precision | None = None) -> jax.Array:
        """Apply the layer at `precision` (traced bits, one per dimension)."""
        flat = x.reshape(-1, x.shape[-1])
        y = self._run(flat, (x.shape[-1], self.features), precision, self.numerics, self.head, contraction.dense)
        return y.reshape(*x.shape[:-1], self.features)


@jax.custom_vjp
def max_pool(x: jax.Array) -> jax.Array:
    """2x2 max-pool, stride 2, VALID: `[B, H, W, C]` -> `[B, H//2, W//2, C]`.

    The error goes to the first maximum in row-major order and is never split: on a grid ties are common.
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
    spread = lambda x: jax.lax.broadcast_in_dim(x, windows, (0, 1, 3, 5))  # noqa: E731
    row, column = (jax.lax.broadcasted_iota(jnp.int8, windows, axis) for axis in (2, 4))
    full = jnp.where(spread(winner) == 2 * row + column, spread(error), 0.0)
    full = full.reshape(batch, 2 * height, 2 * width, channels)
    return (jnp.pad(full, ((0, 0), (0, odd.shape[0]), (0, odd.shape[1]), (0, 0))),)


max_pool.defvjp(_pool_forward, _pool_backward)

"""WAGE's arithmetic: weights, activations and errors on grids of a few bits (`quantize.py`), sums of codes exact.

With `order="wage"` one layer computes, for precision (bw, ba, be),

    forward    a = Q(x, ba),  w = Q(W, bw),  y = sum(a * w) / alpha
    backward   dW = sum(a * e),  dx = Q_E(pass * sum(w * e), be),  pass = |x| <= 1 - sigma(ba)

so that in `QuantConv -> max_pool -> relu -> QuantConv` errors are quantised between the activation's clip mask and
ReLU', as in WAGE. alpha = max(Shift(L_min / sqrt(3 / fan_in)), 1) is a power of two that keeps activations in range.

Source: Wu et al., ICLR 2018 (arXiv 1802.04680), sections 3.2 and 3.3; L_min = 0.75 at every weight width.
"""

import dataclasses
import math
from typing import Any, Literal, Self

import jax

from halo_jax.numerics import dead_layers
from halo_jax.numerics.arithmetic import Draw, Product
from halo_jax.numerics.quantize import host_shift, quantize_activation, quantize_error, quantize_weight
from halo_jax.types import CLEAN, Noise, Precision


@dataclasses.dataclass(frozen=True)
class Numerics:
    """WAGE's arithmetic: its static options, and the functions of `Arithmetic` that layers call; bits are traced.

    Attributes:
      min_limit: L_min, the smallest limit of initial weights and the numerator of the layer scale alpha.
      order: `wage` quantises activations and errors at a layer's input, after pooling and ReLU; `neurosim` at a
        layer's output, before them.
      input_bits: bits of the network's input; 0 means the client's activation bits.
      shift: how Shift picks its power of two.
      error_rounding: rounding of errors; `stochastic` draws from the linen rng stream `error`.
      exact: every sum of products is exact and independent of its order, for any operands on the grid.
      noise: of the weights and errors in crossbars; it draws from the linen rng stream `noise`.
    """

    min_limit: float = 0.75
    order: Literal["wage", "neurosim"] = "wage"
    input_bits: int = 0
    shift: Literal["round", "ceil"] = "round"
    error_rounding: Literal["nearest", "stochastic"] = "nearest"
    exact: bool = True
    noise: Noise = CLEAN

    def bits(self, precision: Precision | None) -> Precision:
        """The layer's precision. Raises ValueError if it is None."""
        if precision is None:
            raise ValueError("precision is None: low-precision layers need bits; for float32 layers set numerics=None")
        return precision

    def weight_limit(self, fan_in: int) -> float:
        """L of the initial weights U(-L, L): max(sqrt(3 / fan_in), L_min)."""
        return max(math.sqrt(3 / fan_in), self.min_limit)

    def output_scale(self, fan_in: int) -> float:
        """alpha = max(Shift(L_min / sqrt(3 / fan_in)), 1), the divisor of a layer's sums."""
        # Choice: alpha does not depend on the weight bits, so clients of all precisions share one model.
        return max(host_shift(self.min_limit / math.sqrt(3 / fan_in)), 1.0)

    def scale_sums(self, sums: jax.Array, fan_in: int) -> jax.Array:
        """The sums divided by alpha, a power of two: they stay on a grid."""
        return sums / self.output_scale(fan_in)

    def quantize_input(self, x: jax.Array, precision: Precision, draw: Draw) -> Any:
        """Q(x, ba); backward the clip mask and, in the order of `wage`, Q_E."""
        if self.order == "wage":
            x = self._quantize_error(x, precision, draw)
        return quantize_activation(x, precision.activations)

    def quantize_weight(self, weight: jax.Array, precision: Precision) -> Any:
        """Q(W, bw); backward straight through."""
        return quantize_weight(weight, precision.weights)

    def dead_codes(self, activations: Any, precision: Precision) -> jax.Array:
        """Whether the codes of the activations are all zero, and all saturated: bool `[2]`."""
        return dead_layers.dead_codes(activations, precision.activations)

    def contract(self, product: Product, activations: Any, weights: Any, precision: Precision, draw: Draw) -> jax.Array:
        """sum(a * w) on crossbars, noisy where there is noise in them."""
        key = draw("noise") if self.noise.in_crossbars else None
        return product(activations, weights, precision, exact=self.exact, noise=self.noise, key=key)

    def quantize_output(self, y: jax.Array, precision: Precision, draw: Draw, *, head: bool) -> jax.Array:
        """Backward Q_E, in the order of `wage` at the logits alone; forward Q(y, ba) in that of `neurosim`."""
        if self.order == "neurosim" and not head:
            y = quantize_activation(y, precision.activations)
        return self._quantize_error(y, precision, draw) if head or self.order == "neurosim" else y

    def with_noise(self, noise: Noise) -> Self:
        """The same arithmetic with this noise in crossbars."""
        return dataclasses.replace(self, noise=noise)

    def _quantize_error(self, x: jax.Array, precision: Precision, draw: Draw) -> jax.Array:
        key = draw("error") if self.error_rounding == "stochastic" else None
        return quantize_error(x, precision.errors, key, shift_mode=self.shift)


DEFAULT = Numerics()

"""What a layer computes in: the type of a recipe's arithmetic, and plain float32.

A layer (`layers.py`) has weights and a place in the network. How its numbers are rounded, multiplied and scaled is the
recipe's: a layer of inputs x and weights W calls, in this order,

    a = quantize_input(x),  w = quantize_weight(W),  y = quantize_output(scale_sums(contract(a, w)))

and `jax.grad` follows the same functions backwards. `Numerics` (`wage.py`) is WAGE's arithmetic and what layers have
unless told otherwise; other arithmetics stand in the files of their recipes.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol, Self

import jax
import jax.numpy as jnp

from halo_jax.types import Noise, Precision

# A product of activations and weights, `contraction.conv` at a layer's window or `contraction.dense`, which takes
# (activations, weights, precision, exact=, noise=, key=).
Product = Callable[..., jax.Array]
# A random key of a linen stream, "error" or "noise": `make_rng` of a layer. What nobody draws from may be absent.
Draw = Callable[[str], jax.Array]


class Arithmetic(Protocol):
    """The functions that a layer calls; a recipe fills them, in a frozen dataclass of its options.

    Bits are data: `precision` holds traced int32, so a function may not branch on them in Python. Nothing may depend on
    which executor or kernel runs it, and nothing of an example on the other examples of its batch, but for the scale of
    errors: else padding and the batches of an evaluation would change results.
    """

    @property
    def input_bits(self) -> int:
        """Bits of the network's input; 0 means the client's own activation bits."""
        ...

    def bits(self, precision: Precision | None) -> Precision:
        """The bits that a layer computes with. Raises ValueError, one line, where they are missing and needed."""
        ...

    def weight_limit(self, fan_in: int) -> float:
        """L of the initial weights U(-L, L) of a layer with `fan_in` products a sum."""
        ...

    def scale_sums(self, sums: jax.Array, fan_in: int) -> jax.Array:
        """The output of a layer: its sums of `fan_in` products, in the range that the next layer takes."""
        ...

    def quantize_input(self, x: jax.Array, precision: Precision, draw: Draw) -> Any:
        """What enters a layer, in the form that `contract` takes; backward, the errors that leave it.

        Args:
          x: float32 `[B, H, W, Cin]` of a convolution, `[P, Cin]` of a dense layer.
          precision: the layer's bits.
          draw: random keys.
        """
        ...

    def quantize_weight(self, weight: jax.Array, precision: Precision) -> Any:
        """A layer's weights `[kh, kw, Cin, Cout]` or `[Cin, Cout]`, in the form that `contract` takes."""
        ...

    def dead_codes(self, activations: Any, precision: Precision) -> jax.Array:
        """Whether what `quantize_input` gave is all zero, and all saturated: bool `[2]` (`dead_layers`)."""
        ...

    def contract(self, product: Product, activations: Any, weights: Any, precision: Precision, draw: Draw) -> jax.Array:
        """The layer's sums of products, float32 `[B, Ho, Wo, Cout]` or `[P, Cout]`.

        Args:
          product: of a convolution or a dense layer, with the backward rules of exact sums.
          activations: what `quantize_input` gave.
          weights: what `quantize_weight` gave.
          precision: the layer's bits.
          draw: random keys.
        """
        ...

    def quantize_output(self, y: jax.Array, precision: Precision, draw: Draw, *, head: bool) -> jax.Array:
        """What leaves a layer; backward, the errors that enter it.

        Args:
          y: the scaled sums, float32.
          precision: the layer's bits.
          draw: random keys.
          head: the layer makes the logits, which are no activations.
        """
        ...

    def with_noise(self, noise: Noise) -> Self:
        """The same arithmetic with this noise in crossbars; itself where it has none (`Recipe.crossbars`)."""
        ...


@dataclasses.dataclass(frozen=True)
class Float32:
    """Plain float32: nothing is quantised, and a precision is ignored."""

    input_bits: int = 0

    def bits(self, precision: Precision | None) -> Precision:
        """32 each, whatever is given."""
        del precision
        return Precision(32, 32, 32)

    def weight_limit(self, fan_in: int) -> float:
        """He's sqrt(6 / fan_in)."""
        return math.sqrt(6 / fan_in)

    def scale_sums(self, sums: jax.Array, fan_in: int) -> jax.Array:
        """The sums themselves."""
        del fan_in
        return sums

    def quantize_input(self, x: jax.Array, precision: Precision, draw: Draw) -> jax.Array:
        """The input itself."""
        del precision, draw
        return x

    def quantize_weight(self, weight: jax.Array, precision: Precision) -> jax.Array:
        """The weights themselves."""
        del precision
        return weight

    def dead_codes(self, activations: jax.Array, precision: Precision) -> jax.Array:
        """Neither: float32 has no codes."""
        del activations, precision
        return jnp.zeros(2, bool)

    def contract(
        self, product: Product, activations: jax.Array, weights: jax.Array, precision: Precision, draw: Draw
    ) -> jax.Array:
        """Sums in plain float32."""
        del precision, draw
        return product(activations, weights, None)

    def quantize_output(self, y: jax.Array, precision: Precision, draw: Draw, *, head: bool) -> jax.Array:
        """The output itself."""
        del precision, draw, head
        return y

    def with_noise(self, noise: Noise) -> Self:
        """Itself: it is not computed on crossbars."""
        del noise
        return self


FLOAT32 = Float32()

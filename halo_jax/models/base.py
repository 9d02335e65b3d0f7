"""What a model is: a linen module that maps images and a precision to logits."""

from typing import Protocol

from flax import linen as nn

from halo_jax.numerics.arithmetic import FLOAT32, Arithmetic
from halo_jax.numerics.wage import DEFAULT
from halo_jax.types import Precision


class MakeModel(Protocol):
    """Build a module whose `module.apply(params, images, precision)` returns logits, float32 `[B, classes]`.

    Images are float32 `[B, H, W, C]` in [-1, 1]; precision holds one number of bits per dimension, or one per layer
    `[L]`.
    """

    def __call__(self, num_classes: int, *, width: float = 1.0, numerics: Arithmetic | None = DEFAULT) -> nn.Module:
        """Return the module.

        Args:
          num_classes: number of logits.
          width: multiplies all channel counts; above 0.
          numerics: the arithmetic of all layers, a recipe's or `Numerics()`; None is plain float32.
        """
        ...


def channels(count: int, width: float) -> int:
    """`count` times `width`, rounded, at least 1."""
    return max(1, round(count * width))


def layer_precisions(
    precision: Precision | None, num_layers: int, numerics: Arithmetic | None
) -> list[Precision | None]:
    """The precision of each layer; the first one's activations, the image, have `input_bits` where that is set.

    Args:
      precision: bits `[]` for all layers, or `[L]` for each; None where there are none.
      num_layers: L.
      numerics: the arithmetic of the layers; None is float32.

    Returns:
      L precisions of bits `[]`, or L times None.
    """
    if precision is None:
        return [None] * num_layers
    layers: list[Precision | None] = [precision.layer(index) for index in range(num_layers)]
    input_bits = (numerics or FLOAT32).input_bits
    if input_bits:
        layers[0] = precision.layer(0)._replace(activations=input_bits)
    return layers

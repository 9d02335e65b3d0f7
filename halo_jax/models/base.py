"""What a model is: a linen module that maps images and a precision to logits."""

from typing import Protocol

from flax import linen as nn

from halo_jax.numerics.quantize import DEFAULT, Numerics
from halo_jax.types import Precision


class MakeModel(Protocol):
    """Build a module whose `module.apply(params, images, precision)` returns logits `[B, classes]`.

    Images are float32 `[B, H, W, C]` in [-1, 1]; precision holds one number of bits per dimension, or one per layer
    `[L]`.
    """

    def __call__(self, num_classes: int, *, width: float = 1.0, numerics: Numerics | None = DEFAULT) -> nn.Module:
        """Return the module; `width` multiplies all channel counts, `numerics=None` makes it plain float32."""
        ...


def channels(count: int, width: float) -> int:
    """`count` times `width`, rounded, at least 1."""
    return max(1, round(count * width))


def layer_precisions(precision: Precision | None, num_layers: int, numerics: Numerics | None) -> list[Precision | None]:
    """The precision of each layer; the first one's activations, the image, have `input_bits` where that is set."""
    if precision is None:
        return [None] * num_layers
    layers: list[Precision | None] = [precision.layer(index) for index in range(num_layers)]
    if numerics is not None and numerics.input_bits:
        layers[0] = precision.layer(0)._replace(activations=numerics.input_bits)
    return layers

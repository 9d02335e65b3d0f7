"""A small CNN: two convolutions and a dense layer. Copy this file to add a model.

A model is one file and one line in `halo_jax/models/__init__.py`: a linen module of `QuantConv` and `QuantDense`,
each called with its layer's precision; the last layer says `head=True`.
"""

import jax
from flax import linen as nn

from halo_jax.models.base import channels, layer_precisions
from halo_jax.numerics.arithmetic import Arithmetic
from halo_jax.numerics.layers import QuantConv, QuantDense, max_pool
from halo_jax.numerics.wage import DEFAULT
from halo_jax.types import Precision


class SmallCNN(nn.Module):
    """32C3 - MP2 - 64C3 - MP2 - classes; attributes and shapes as in `models.base.MakeModel`."""

    num_classes: int
    width: float = 1.0
    numerics: Arithmetic | None = DEFAULT

    @nn.compact
    def __call__(self, images: jax.Array, precision: Precision | None = None) -> jax.Array:
        """Images `[B, H, W, C]` in [-1, 1] -> logits `[B, classes]`."""
        bits = layer_precisions(precision, 3, self.numerics)
        x = images
        for index, count in enumerate((32, 64)):
            x = QuantConv(channels(count, self.width), numerics=self.numerics)(x, bits[index])
            x = nn.relu(max_pool(x))
        return QuantDense(self.num_classes, head=True, numerics=self.numerics)(x.reshape(x.shape[0], -1), bits[2])

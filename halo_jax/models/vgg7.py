"""VGG7, the paper's network: WAGE's convolutions with a hidden dense layer of 256.

2x128C3 - MP2 - 2x256C3 - MP2 - 2x512C3 - MP2 - 256FC - classes; 3x3 kernels, SAME padding, no biases, no batch norm.
At width 1 on CIFAR10 it has 6,674,304 weights. Any image of at least 8x8 pixels will do.

# Choice: the hidden layer has 256 units, not WAGE's 1024: only 256 reproduces the tile counts and latencies of Table
# II.
"""

import jax
from flax import linen as nn

from halo_jax.models.base import channels, layer_precisions
from halo_jax.numerics.arithmetic import Arithmetic
from halo_jax.numerics.layers import QuantConv, QuantDense, max_pool
from halo_jax.numerics.wage import DEFAULT
from halo_jax.types import Precision

_BLOCKS = (128, 256, 512)
_HIDDEN = 256


class VGG7(nn.Module):
    """The network; attributes and shapes as in `models.base.MakeModel`."""

    num_classes: int
    width: float = 1.0
    numerics: Arithmetic | None = DEFAULT

    @nn.compact
    def __call__(self, images: jax.Array, precision: Precision | None = None) -> jax.Array:
        """Images `[B, H, W, C]` in [-1, 1] -> logits `[B, classes]`. Raises ValueError below 8x8 pixels."""
        if min(images.shape[1:3]) < 8:
            raise ValueError(
                f"vgg7 pools three times: images are {images.shape[1]}x{images.shape[2]}, need 8x8 or more"
            )
        bits = iter(layer_precisions(precision, 8, self.numerics))
        x = images
        for count in _BLOCKS:
            x = nn.relu(QuantConv(channels(count, self.width), numerics=self.numerics)(x, next(bits)))
            x = QuantConv(channels(count, self.width), numerics=self.numerics)(x, next(bits))
            x = nn.relu(max_pool(x))
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(QuantDense(channels(_HIDDEN, self.width), numerics=self.numerics)(x, next(bits)))
        return QuantDense(self.num_classes, head=True, numerics=self.numerics)(x, next(bits))

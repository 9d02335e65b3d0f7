"""ResNet-8 without batch norm: a convolution, three residual blocks of two, and a dense layer.

128C3 - block 128 - block 256 /2 - block 512 /2 - MP2 - classes; a block is relu((x + C3(relu(C3(x)))) / 2); x goes
through a 1x1 convolution if the block halves the image. No biases. At width 1/8 the channels are the 16, 32 and 64 of
He et al., CVPR 2016 (arXiv 1512.03385), section 4.2. Any image of at least 5x5 pixels will do.

A sum of two activations needs no grid of its own: the next layer rounds what enters it. Where x parts, two errors on
the grid add up to one that may lie between its points; the layer before rounds it again (`quantize.fit_errors`).

# Choice: the sum is halved, so that activations stay within [-1, 1], beyond which they are clipped and errors dropped.
Without it digits are learned 2 points worse at 8-8-8.
# Choice: max-pooling before the dense layer, as in VGG7, not the mean, which leaves the grid.
"""

import jax
from flax import linen as nn

from halo_jax.models.base import channels, layer_precisions
from halo_jax.numerics.arithmetic import Arithmetic
from halo_jax.numerics.layers import QuantConv, QuantDense, max_pool
from halo_jax.numerics.wage import DEFAULT
from halo_jax.types import Precision

_BLOCKS = ((128, 1), (256, 2), (512, 2))  # channels, stride


class ResNet8(nn.Module):
    """The network; attributes and shapes as in `models.base.MakeModel`."""

    num_classes: int
    width: float = 1.0
    numerics: Arithmetic | None = DEFAULT

    @nn.compact
    def __call__(self, images: jax.Array, precision: Precision | None = None) -> jax.Array:
        """Images `[B, H, W, C]` in [-1, 1] -> logits `[B, classes]`. Raises ValueError below 5x5 pixels."""
        if min(images.shape[1:3]) < 5:
            raise ValueError(
                f"resnet8 halves three times: images are {images.shape[1]}x{images.shape[2]}, need 5x5 or more"
            )
        bits = iter(layer_precisions(precision, 10, self.numerics))

        def conv(x: jax.Array, count: int, kernel: int = 3, stride: int = 1) -> jax.Array:
            layer = QuantConv(channels(count, self.width), (kernel, kernel), (stride, stride), numerics=self.numerics)
            return layer(x, next(bits))

        x = nn.relu(conv(images, _BLOCKS[0][0]))
        for count, stride in _BLOCKS:
            y = conv(nn.relu(conv(x, count, stride=stride)), count)
            x = x if stride == 1 else conv(x, count, kernel=1, stride=stride)
            x = nn.relu((x + y) / 2)
        x = max_pool(x).reshape(images.shape[0], -1)
        return QuantDense(self.num_classes, head=True, numerics=self.numerics)(x, next(bits))

"""The CNN of pfl-research's image benchmarks (CIFAR10 and FEMNIST), in halo_jax's layers: no biases, no dropout."""

import jax
from flax import linen as nn

import halo_jax as hj


class TwoConvolutions(nn.Module):
    """32C3 - 64C3 - MP2 - 128FC - classes without padding; attributes and shapes as in `models.base.MakeModel`."""

    num_classes: int
    width: float = 1.0
    numerics: hj.Arithmetic | None = hj.Numerics()

    @nn.compact
    def __call__(self, images: jax.Array, precision: hj.Precision | None = None) -> jax.Array:
        """Images `[B, H, W, C]` in [-1, 1] -> logits `[B, classes]`."""
        bits = hj.models.layer_precisions(precision, 4, self.numerics)
        x = images
        for index, count in enumerate((32, 64)):
            conv = hj.QuantConv(round(count * self.width), padding="VALID", numerics=self.numerics)
            x = conv(x, bits[index])
            x = nn.relu(hj.max_pool(x) if index else x)
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(hj.QuantDense(round(128 * self.width), numerics=self.numerics)(x, bits[2]))
        return hj.QuantDense(self.num_classes, head=True, numerics=self.numerics)(x, bits[3])

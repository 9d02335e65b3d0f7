"""Four million synthetic images that are never stored: each is made on the device from its number, when a batch asks.

For federations of any size: 100,000 registered clients take no more memory than the indices of their images.
"""

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.datasets.base import Dataset

NUM_IMAGES = 2**22
_IMAGE_SHAPE, _CLASSES, _TEST_IMAGES, _NOISE = (28, 28, 1), 10, 1000, 64.0


@flax.struct.dataclass
class GeneratedImages:
    """Reads like an array uint8 `[D, H, W, C]`; image i is the pattern of class i mod K plus noise drawn from (key, i).

    `patterns` float32 `[K, H, W, C]` in 0..255; `key` a random key; `size` D, static.
    """

    patterns: jax.Array
    key: jax.Array
    size: int = flax.struct.field(pytree_node=False)

    ndim = 4
    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """(D, H, W, C)."""
        return (self.size, *self.patterns.shape[1:])

    def __getitem__(self, indices: jax.Array) -> jax.Array:
        """The images of `indices` int32 `[B]`, uint8 `[B, H, W, C]`: the same number, the same image."""

        def make(index: jax.Array) -> jax.Array:
            draws = jax.random.bits(jax.random.fold_in(self.key, index), self.patterns.shape[1:], jnp.uint8)
            noise = (draws.astype(jnp.float32) / 255 - 0.5) * (2 * _NOISE)
            pixels = self.patterns[index % self.patterns.shape[0]] + noise
            return jnp.clip(jnp.round(pixels), 0, 255).astype(jnp.uint8)

        return jax.vmap(make)(indices)

    def first(self, count: int) -> "GeneratedImages":
        """The first `count` images."""
        return GeneratedImages(self.patterns, self.key, count)


def load(data_dir: str = "") -> Dataset:
    """28x28 images of 10 classes: NUM_IMAGES to train on, made as they are asked for, and 1,000 stored ones to test.

    `train_examples` takes the first so many. `data_dir` is not used.
    """
    patterns = jnp.asarray(np.random.default_rng(0).uniform(0, 255, (_CLASSES, *_IMAGE_SHAPE)), jnp.float32)
    train = GeneratedImages(patterns, jax.random.key(0), NUM_IMAGES)
    test = np.asarray(GeneratedImages(patterns, jax.random.key(1), _TEST_IMAGES)[jnp.arange(_TEST_IMAGES)])
    labels = np.arange(NUM_IMAGES, dtype=np.int32) % _CLASSES
    return Dataset(train, labels, test, labels[:_TEST_IMAGES], _CLASSES)

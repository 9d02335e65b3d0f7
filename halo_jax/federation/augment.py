"""Random crops and flips of a batch on the device, drawn anew in every step; uint8 stays uint8."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

PAD = 4  # pixels on each side, whatever the size of the image: as WAGE trains CIFAR10

Augment = Callable[[jax.Array, jax.Array], jax.Array]


def make_augment(name: str, image_shape: tuple[int, ...]) -> Augment | None:
    """Build `augment(images [B, H, W, C], key) -> images`, or None where nothing shall change.

    `name` is "none"; "crop": the image moves by -4 to 4 pixels each way, and what comes in is black; "crop_flip": it
    is then mirrored with probability 1/2; or "auto": crop_flip for colour images of 32x32 and more, else none. Image i
    of a batch has draws of its own, which the size of the batch does not change.
    """
    height, width, channels = image_shape
    if name == "auto":
        # Choice: digits and letters, small and grey, mean something else when mirrored.
        name = "crop_flip" if min(height, width) >= 32 and channels == 3 else "none"
    if name == "none":
        return None

    def augment(images: jax.Array, key: jax.Array) -> jax.Array:
        crop_key, flip_key = jax.random.split(key)
        corners = jax.random.randint(crop_key, (len(images), 2), 0, 2 * PAD + 1)
        mirrored = jax.random.bits(flip_key, (len(images),), jnp.uint32) >> 31 == 1
        return crop_and_flip(images, corners, mirrored & (name == "crop_flip"))

    return augment


def crop_and_flip(images: jax.Array, corners: jax.Array, mirrored: jax.Array) -> jax.Array:
    """Cut images `[B, H, W, C]` out of their padded selves at `corners` `[B, 2]` from (0, 0) to (8, 8), then mirror.

    Corner (4, 4) gives the image itself; `mirrored` bool `[B]` turns left and right around.
    """
    # Paper: WAGE pads 4, crops and flips. Choice: the padding is black, 0, the usual one for uint8 images.
    height, width = images.shape[1:3]
    rows = corners[:, :1] + jnp.arange(height)
    columns = corners[:, 1:] + jnp.arange(width)
    columns = jnp.where(mirrored[:, None], columns[:, ::-1], columns)
    padded = jnp.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)))
    batch = jnp.arange(len(images))[:, None, None]
    return padded[batch, rows[:, :, None], columns[:, None, :]]

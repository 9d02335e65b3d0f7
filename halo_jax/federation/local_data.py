"""What one client trains on: its examples among the images that stay on the device, and the order of its batches."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Images(NamedTuple):
    """Labelled images that stay on the device, where all clients gather theirs.

    Attributes:
      images: uint8 `[D, H, W, C]`, or what makes them when it is indexed.
      labels: int32 `[D]`.
    """

    images: Any
    labels: jax.Array


class LocalData(NamedTuple):
    """The examples of one client, padded to those of the largest.

    Attributes:
      indices: int32 `[M]`, places in the resident `Images`.
      mask: bool `[M]`, False where padded.
    """

    indices: jax.Array
    mask: jax.Array


class Batches(NamedTuple):
    """The batches of all local steps, in order.

    Attributes:
      indices: int32 `[S, B]`, places in the resident `Images`.
      mask: bool `[S, B]`, False where padded.
    """

    indices: jax.Array
    mask: jax.Array


def normalise(images: jax.Array) -> jax.Array:
    """Pixels of 0..255 -> float32 in [-1, 1]: x / 127.5 - 1."""
    return images.astype(jnp.float32) / 127.5 - 1


def local_steps(num_examples: int, batch_size: int, local_epochs: int) -> int:
    """S: every epoch sees each example once; the last partial batch is masked, never dropped."""
    return local_epochs * math.ceil(num_examples / batch_size)


def batch_order(local_data: LocalData, batch_size: int, local_epochs: int, key: jax.Array) -> Batches:
    """Shuffle a client's examples into batches, anew in each epoch.

    Each epoch is one permutation of the client's real examples, padding last, so padding changes nothing for them.

    Args:
      local_data: the client's examples, `[M]`.
      batch_size: B, images a step.
      local_epochs: how often each example is seen.
      key: of this client's shuffling in this round.

    Returns:
      `[S, B]` with S = `local_steps(M, batch_size, local_epochs)`.
    """
    num_padded = local_data.indices.shape[0]
    batches = local_steps(num_padded, batch_size, 1)

    def epoch(index: jax.Array) -> Batches:
        draws = jax.random.bits(jax.random.fold_in(key, index), (num_padded,), jnp.uint32) >> 1
        order = jnp.argsort(jnp.where(local_data.mask, draws, jnp.uint32(0xFFFFFFFF)), stable=True)
        pad = (0, batches * batch_size - num_padded)
        indices = jnp.pad(local_data.indices[order], pad).reshape(batches, batch_size)
        return Batches(indices, jnp.pad(local_data.mask[order], pad).reshape(batches, batch_size))

    indices, mask = jax.vmap(epoch)(jnp.arange(local_epochs))
    return Batches(indices.reshape(-1, batch_size), mask.reshape(-1, batch_size))

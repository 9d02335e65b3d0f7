"""Accuracy and loss of a model over a whole split."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from halo_jax.federation.clients import lift, placement
from halo_jax.federation.local_training import Images, LossSum, normalise
from halo_jax.numerics.noise import perturb_images
from halo_jax.recipes.base import Recipe
from halo_jax.types import CLEAN, Noise, Precision, Stream, stream


class Scores(NamedTuple):
    """What one evaluation finds: whole numbers of right answers, the mean loss, float32 `[]`, and `right` `[K]`."""

    top1: jax.Array
    top5: jax.Array
    loss: jax.Array
    right: jax.Array  # the right answers of top1 by class


def rank_of_label(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """How many classes come before the label, int32 `[B]`: larger logits, and equal ones of a lower index.

    Where a logit is NaN no answer is right: a model that has diverged has no accuracy.
    """
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    earlier = jnp.arange(logits.shape[1]) < labels[:, None]
    rank = jnp.sum((logits > own) | ((logits == own) & earlier), axis=1)
    return jnp.where(jnp.isnan(logits).any(axis=1), logits.shape[1], rank)


def make_evaluate(
    module: nn.Module, recipe: Recipe, batch_size: int, executor: str = "map", noise: Noise = CLEAN
) -> Callable[..., Scores]:
    """Build the jitted `evaluate(model, precision, data, key, round) -> Scores`: batch by batch, the last one masked.

    Under `shard` the devices share the batches as they share clients. Noise alone needs `key`, the run's, and `round`:
    weights have one draw for all images, also per read, and every image its own, so that batches change no result.
    """
    spread = "shard" if executor == "shard" else "map"

    def evaluate(model: Any, precision: Precision, data: Images, key: Any = None, round: Any = None) -> Scores:
        size = data.labels.shape[0]
        batches = math.ceil(size / batch_size)
        order = jnp.arange(batches * batch_size).reshape(batches, batch_size)
        params = recipe.decode(model)
        unused = jax.random.key(0)  # stochastic errors want a key, and there are no errors here

        def score(positions, params, precision, data, key):
            mask, keys = positions < size, {"error": unused}
            images, labels = data.images[positions % size], data.labels[positions % size]
            if noise.anywhere:
                images, keys["noise"] = _with_noise(images, positions, noise, key)
            logits: Any = module.apply({"params": params}, normalise(images), precision, rngs=keys)
            rank = rank_of_label(logits, labels)
            first = (mask & (rank < 1)).astype(jnp.int32)
            right = jnp.zeros(logits.shape[1], jnp.int32).at[labels].add(first)
            return right, jnp.sum(mask & (rank < 5)), LossSum.of(recipe.loss(logits, labels), mask)

        key = stream(key, Stream.NOISE, round) if noise.anywhere else None
        right, top5, losses = lift(score, spread)((order,), (params, precision, data, key))
        return Scores(right.sum(), top5.sum(), losses.sum().mean(size), right.sum(axis=0))

    return jax.jit(evaluate, out_shardings=placement(executor))


def _with_noise(images: jax.Array, positions: jax.Array, noise: Noise, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Images `[B, H, W, C]` with noise by their positions `[B]` in the split, and the key of the layers' noise."""
    of_images, of_layers = jax.random.split(key)
    if noise.inputs:
        keys = jax.vmap(lambda position: jax.random.fold_in(of_images, position))(positions)
        images = jax.vmap(lambda image, key: perturb_images(image, noise, key))(images, keys)
    return images, of_layers

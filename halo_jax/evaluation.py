"""Accuracy and loss of a model over a whole split."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from halo_jax.clients import lift, placement
from halo_jax.recipes.base import Recipe
from halo_jax.training import Images, LossSum, normalise
from halo_jax.types import Precision


class Scores(NamedTuple):
    """What one evaluation finds: whole numbers of right answers, and the mean loss, float32 `[]`."""

    top1: jax.Array
    top5: jax.Array
    loss: jax.Array


def rank_of_label(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """How many classes come before the label, int32 `[B]`: larger logits, and equal ones of a lower index.

    Where a logit is NaN no answer is right: a model that has diverged has no accuracy.
    """
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    earlier = jnp.arange(logits.shape[1]) < labels[:, None]
    rank = jnp.sum((logits > own) | ((logits == own) & earlier), axis=1)
    return jnp.where(jnp.isnan(logits).any(axis=1), logits.shape[1], rank)


def make_evaluate(
    module: nn.Module, recipe: Recipe, batch_size: int, executor: str = "map"
) -> Callable[[Any, Precision, Images], Scores]:
    """Build the jitted `evaluate(model, precision, data) -> Scores`: batch by batch, the last one masked.

    Under `shard` the devices share the batches as they share clients.
    """
    spread = "shard" if executor == "shard" else "map"

    def evaluate(model: Any, precision: Precision, data: Images) -> Scores:
        size = data.labels.shape[0]
        batches = math.ceil(size / batch_size)
        order = jnp.arange(batches * batch_size).reshape(batches, batch_size)
        params = recipe.decode(model)
        unused = jax.random.key(0)  # stochastic errors want a key, and there are no errors here

        def score(positions, params, precision, data):
            mask = positions < size
            images, labels = data.images[positions % size], data.labels[positions % size]
            logits: Any = module.apply({"params": params}, normalise(images), precision, rngs={"error": unused})
            rank = rank_of_label(logits, labels)
            right = lambda first: jnp.sum(mask & (rank < first))  # noqa: E731
            return right(1), right(5), LossSum.of(recipe.loss(logits, labels), mask)

        top1, top5, losses = lift(score, spread)((order,), (params, precision, data))
        return Scores(top1.sum(), top5.sum(), losses.sum().mean(size))

    return jax.jit(evaluate, out_shardings=placement(executor))

"""Accuracy and loss of a model over a whole split."""

import math
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import linen as nn

from halo_jax.federation.clients import lift, placement
from halo_jax.federation.local_data import Images, normalise
from halo_jax.federation.loss_sum import LossSum
from halo_jax.numerics.noise import perturb_images
from halo_jax.recipes.base import Recipe
from halo_jax.types import CLEAN, Noise, Precision, Stream, stream


class Scores(NamedTuple):
    """What one evaluation finds.

    Attributes:
      top1: how many images have their label first, int32 `[]`.
      top5: how many have it among the first five, int32 `[]`.
      loss: the mean over the images, float32 `[]`.
      right: `top1` by class, int32 `[K]`.
    """

    top1: jax.Array
    top5: jax.Array
    loss: jax.Array
    right: jax.Array


class Evaluate(Protocol):
    """Score a model over a whole split."""

    def __call__(self, model: Any, precision: Precision, images: Images, key: Any = None, round: Any = None) -> Scores:
        """Return the scores of `model` on all of `images`.

        Args:
          model: in the recipe's dtype.
          precision: the bits of the forward pass, int32 `[]` each.
          images: the split, `[D, ...]`.
          key: the run's key, which noise alone needs.
          round: rounds done, int32 `[]`, which noise alone needs.
        """
        ...


def rank_of_label(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """How many classes come before the label, int32 `[B]`: larger logits, and equal ones of a lower index.

    Where a logit is NaN no answer is right: a model that has diverged has no accuracy.
    """
    logit_of_label = jnp.take_along_axis(logits, labels[:, None], axis=1)
    earlier = jnp.arange(logits.shape[1]) < labels[:, None]
    rank = jnp.sum((logits > logit_of_label) | ((logits == logit_of_label) & earlier), axis=1)
    return jnp.where(jnp.isnan(logits).any(axis=1), logits.shape[1], rank)


def make_evaluate(
    module: nn.Module, recipe: Recipe, batch_size: int, executor: str = "map", noise: Noise = CLEAN
) -> Evaluate:
    """Build the jitted `evaluate(model, precision, images, key, round) -> Scores`: batch by batch, the last one masked.

    Weights have one draw of noise for all images, also per read, and every image has its own, so that batches change
    no result.

    Args:
      module: the network, with the noise of its crossbars.
      recipe: how the model is decoded and scored.
      batch_size: images at a time.
      executor: under `shard` the devices share the batches as they share clients; any other takes them in turns.
      noise: of inference; `noise.inputs` is added to the images here.
    """

    def evaluate(model: Any, precision: Precision, images: Images, key: Any = None, round: Any = None) -> Scores:
        size = images.labels.shape[0]
        batches = math.ceil(size / batch_size)
        order = jnp.arange(batches * batch_size).reshape(batches, batch_size)
        params = recipe.decode(model)

        def score(positions: jax.Array, params: Any, precision: Precision, split: Images, key: Any) -> _BatchScores:
            mask = positions < size
            pixels, labels = split.images[positions % size], split.labels[positions % size]
            logits = _logits(module, params, precision, pixels, positions, noise, key)
            rank = rank_of_label(logits, labels)
            first = (mask & (rank < 1)).astype(jnp.int32)
            right = jnp.zeros(logits.shape[1], jnp.int32).at[labels].add(first)
            return _BatchScores(right, jnp.sum(mask & (rank < 5)), LossSum.of(recipe.loss(logits, labels), mask))

        key = stream(key, Stream.NOISE, round) if noise.anywhere else None
        score_all = lift(score, "shard" if executor == "shard" else "map")
        by_batch = score_all((order,), (params, precision, images, key))
        return Scores(
            by_batch.right.sum(), by_batch.top5.sum(), by_batch.loss.sum().mean(size), by_batch.right.sum(axis=0)
        )

    return jax.jit(evaluate, out_shardings=placement(executor))


class Logits(Protocol):
    """The logits of a network over images."""

    def __call__(self, params: Any, precision: Precision, images: Any, key: Any = None, round: Any = None) -> jax.Array:
        """Return float32 `[D, K]`.

        Args:
          params: float32, as the recipe decodes a model.
          precision: the bits of the forward pass, int32 `[]` each.
          images: uint8 `[D, H, W, C]`.
          key: the run's key, which noise alone needs.
          round: rounds done, int32 `[]`, which noise alone needs.
        """
        ...


def make_logits(module: nn.Module, batch_size: int, noise: Noise = CLEAN) -> Logits:
    """Build the jitted function whose logits `make_evaluate` scores, over the same batches with the same noise.

    Args:
      module: the network, with the noise of its crossbars.
      batch_size: images at a time, at most.
      noise: of inference.
    """

    def logits(params: Any, precision: Precision, images: Any, key: Any = None, round: Any = None) -> jax.Array:
        size = images.shape[0]
        batch = min(batch_size, size)
        order = jnp.arange(math.ceil(size / batch) * batch).reshape(-1, batch)

        def of_batch(positions: jax.Array, params: Any, precision: Precision, images: Any, key: Any) -> jax.Array:
            return _logits(module, params, precision, images[positions % size], positions, noise, key)

        key = stream(key, Stream.NOISE, round) if noise.anywhere else None
        found = lift(of_batch, "map")((order,), (params, precision, images, key))
        return found.reshape(-1, found.shape[-1])[:size]

    return jax.jit(logits)


class _BatchScores(NamedTuple):
    right: jax.Array  # int32 [K], by class
    top5: jax.Array  # int32 []
    loss: LossSum


def _logits(
    module: nn.Module, params: Any, precision: Precision, images: Any, positions: jax.Array, noise: Noise, key: Any
) -> jax.Array:
    """The logits of a batch `[B, H, W, C]` that lies at `positions` `[B]` of its split, float32 `[B, K]`."""
    keys = {"error": jax.random.key(0)}  # stochastic errors want a key, and there are no errors here
    if noise.anywhere:
        images, keys["noise"] = _with_noise(images, positions, noise, key)
    found: Any = module.apply({"params": params}, normalise(images), precision, rngs=keys)
    return found


def _with_noise(images: jax.Array, positions: jax.Array, noise: Noise, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Images `[B, H, W, C]` with noise by their positions `[B]` in the split, and the key of the layers' noise."""
    of_images, of_layers = jax.random.split(key)
    if noise.inputs:
        keys = jax.vmap(lambda position: jax.random.fold_in(of_images, position))(positions)
        images = jax.vmap(lambda image, key: perturb_images(image, noise, key))(images, keys)
    return images, of_layers

"""Local training of ONE client: a scan over local steps, gathering batches from images that stay on the device."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import lax

from halo_jax.numerics import dead_layers
from halo_jax.numerics.noise import perturb_images
from halo_jax.numerics.wide_integers import LIMB_BITS, Whole
from halo_jax.recipes.base import Recipe
from halo_jax.types import CLEAN, Noise, Precision, Stream, stream


class Shard(NamedTuple):
    """One client's examples: `indices` int32 `[M]` into the resident images, `mask` bool `[M]` (False is padding)."""

    indices: jax.Array
    mask: jax.Array


class Images(NamedTuple):
    """Resident data: `images` uint8 `[D, H, W, C]` (or what makes them when indexed), `labels` int32 `[D]`."""

    images: Any
    labels: jax.Array


LocalTrain = Callable[..., tuple[Any, jax.Array, jax.Array]]


def normalise(images: jax.Array) -> jax.Array:
    """Pixels of 0..255 -> float32 in [-1, 1]: x / 127.5 - 1."""
    return images.astype(jnp.float32) / 127.5 - 1


def local_steps(num_examples: int, batch_size: int, local_epochs: int) -> int:
    """S: every epoch sees each example once; the last partial batch is masked, never dropped."""
    return local_epochs * math.ceil(num_examples / batch_size)


def batch_order(shard: Shard, batch_size: int, local_epochs: int, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Shuffled batches: positions in the images int32 `[S, B]` and which of them are real, bool `[S, B]`.

    Each epoch is one permutation of the client's real examples, padding last, so padding changes nothing for them.
    """
    num_padded = shard.indices.shape[0]
    batches = local_steps(num_padded, batch_size, 1)

    def epoch(index: jax.Array) -> tuple[jax.Array, jax.Array]:
        draws = jax.random.bits(jax.random.fold_in(key, index), (num_padded,), jnp.uint32) >> 1
        order = jnp.argsort(jnp.where(shard.mask, draws, jnp.uint32(0xFFFFFFFF)), stable=True)
        pad = (0, batches * batch_size - num_padded)
        indices = jnp.pad(shard.indices[order], pad).reshape(batches, batch_size)
        return indices, jnp.pad(shard.mask[order], pad).reshape(batches, batch_size)

    indices, mask = jax.vmap(epoch)(jnp.arange(local_epochs))
    return indices.reshape(-1, batch_size), mask.reshape(-1, batch_size)


class LossSum(NamedTuple):
    """A sum of loss terms in whole 1/256, exact in any order, and whether a term was NaN; it may be stacked."""

    whole: Whole
    nan: jax.Array

    @classmethod
    def of(cls, terms: jax.Array, mask: jax.Array) -> "LossSum":
        """The masked loss terms `[B, ...]`, each rounded to whole 1/256; one beyond 2^34 / size is cut there."""
        mask = mask.reshape(mask.shape + (1,) * (terms.ndim - 1))
        wanted = jnp.where(mask & ~jnp.isnan(terms), terms, 0)
        limit = jnp.float32(2 ** (LIMB_BITS + 30) // max(terms.size, 1))
        whole = Whole.of_float(jnp.minimum(jnp.round(wanted * 256), limit))
        return cls(whole.sum(), jnp.any(jnp.isnan(terms) & mask))

    def sum(self) -> "LossSum":
        """The sum of stacked sums, of 2^43 whole 1/256 at most."""
        return LossSum(self.whole.sum(), self.nan.any())

    def mean(self, count: jax.Array | int) -> jax.Array:
        """The sum divided by `count`, float32; NaN if a term was."""
        return jnp.where(self.nan, jnp.nan, self.whole.as_float() / 256 / count)


def with_noise(images: jax.Array, noise: Noise, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Images with the noise that they have in one step, and the key that the layers draw theirs from."""
    of_images, of_layers = jax.random.split(key)
    return perturb_images(images, noise, of_images) if noise.inputs else images, of_layers


def _straight_through(view: Callable[[Any], Any], params: Any) -> Any:
    """`view(params)`, with the gradients of `params`."""
    return jax.tree.map(lambda p, v: p + lax.stop_gradient(v - p), params, view(params))


def make_local_train(
    module: nn.Module,
    recipe: Recipe,
    batch_size: int,
    local_epochs: int,
    view: Callable[[Any], Any] | None = None,
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    noise: Noise = CLEAN,
) -> LocalTrain:
    """Build `local_train(model, precision, shard, data, dead, *, learning_rate, key) -> (model, loss, dead)`.

    It is for one client: no argument has a client axis, `clients.lift` adds it. `model` is what travels (int8 codes for
    `wage`), `precision` int32 bits (`[]`, or `[L]` per layer), `learning_rate` float32 `[]`, `key` this client's and
    round's own key. `loss` is the mean over all examples and steps, float32 `[]`. `dead` counts, int32 `[L, 3]`, for
    how many steps in a row each tensor has learned nothing (`health`). `view` changes the weights that the network
    computes with, such as to rounded ones; gradients go straight through it. `augment` changes a step's images, by
    a key of its own; then `noise.inputs` is added to them, anew in each step; the rest of `noise` is the module's own.
    """

    train = _make_step(module, recipe, view, augment, noise)

    def local_train(
        model: Any,
        precision: Precision,
        shard: Shard,
        data: Images,
        dead: jax.Array,
        *,
        learning_rate: jax.Array,
        key: jax.Array,
    ) -> tuple[Any, jax.Array, jax.Array]:
        chex.assert_rank([shard.indices, shard.mask], 1)
        params = recipe.decode(model)
        order = batch_order(shard, batch_size, local_epochs, stream(key, Stream.SHUFFLE))

        def step(carry, batch):
            """Train on one batch; one of padding only changes nothing, and costs nothing unless clients are vmapped."""
            nothing = (LossSum(Whole(jnp.int32(0), jnp.int32(0)), jnp.bool(False)), jnp.int32(0))
            trained = lambda carry, batch: train(carry, batch, data, precision, learning_rate, key)  # noqa: E731
            return lax.cond(batch[2].any(), trained, lambda carry, batch: (carry, nothing), carry, batch)

        numbers = jnp.cumsum(order[1].any(axis=1)) - 1  # batches of padding only don't count
        start = (params, recipe.optimizer.init(params), dead)
        (params, _, dead), (losses, counts) = lax.scan(step, start, (numbers, *order))
        return recipe.encode(params), losses.sum().mean(jnp.maximum(jnp.sum(counts), 1)), dead

    return local_train


def _make_step(
    module: nn.Module, recipe: Recipe, view: Callable | None, augment: Callable | None, noise: Noise
) -> Callable[..., Any]:
    """Build one local step: forward, backward, update; `(carry, batch, ...) -> (carry, (loss, examples))`."""

    def objective(params, images, labels, mask, precision, keys):
        variables = {"params": params if view is None else _straight_through(view, params)}
        logits: Any
        logits, left = module.apply(
            variables, normalise(images), precision, rngs=keys, mutable=[dead_layers.COLLECTION]
        )
        terms = recipe.loss(logits, labels)
        weights = mask.astype(jnp.float32).reshape(mask.shape + (1,) * (terms.ndim - 1))
        return jnp.sum(terms * weights), (LossSum.of(terms, mask), left)

    def train(carry, batch, data: Images, precision: Precision, learning_rate: jax.Array, key: jax.Array):
        params, state, dead = carry
        number, indices, mask = batch
        images, labels = data.images[indices], data.labels[indices]
        if augment is not None:
            images = augment(images, stream(key, Stream.AUGMENT, number))
        keys = {"error": stream(key, Stream.LAYER, number)}
        if noise.anywhere:
            images, keys["noise"] = with_noise(images, noise, stream(key, Stream.NOISE, number))
        gradients, (loss, left) = jax.grad(objective, has_aux=True)(params, images, labels, mask, precision, keys)
        updates, new_state = recipe.optimizer.update(
            gradients,
            state,
            params,
            key=stream(key, Stream.UPDATE, number),
            learning_rate=learning_rate,
            precision=precision,
            examples=mask.sum().astype(jnp.float32),
        )
        dead = jnp.where(dead_layers.dead_layers(gradients, left), dead + 1, 0)
        return (optax.apply_updates(params, updates), new_state, dead), (loss, mask.sum())

    return train

"""Local training of ONE client: a scan over local steps, gathering batches from images that stay on the device."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import chex
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import lax

from halo_jax.federation.augment import Augment
from halo_jax.federation.local_data import Images, LocalData, batch_order, normalise
from halo_jax.federation.loss_sum import LossSum
from halo_jax.numerics import dead_layers
from halo_jax.numerics.noise import perturb_images
from halo_jax.recipes.base import Recipe
from halo_jax.types import CLEAN, Noise, Precision, Stream, stream


class Trained(NamedTuple):
    """What local training makes of a client's model.

    Attributes:
      model: in the recipe's dtype, as it was received.
      loss: the mean over all examples and steps, float32 `[]`.
      dead: int32 `[L, 3]`, for how many steps in a row each tensor has learned nothing, in `dead_layers.KINDS`.
    """

    model: Any
    loss: jax.Array
    dead: jax.Array


class LocalTrain(Protocol):
    """Train one client's model for one round."""

    def __call__(
        self,
        model: Any,
        precision: Precision,
        local_data: LocalData,
        images: Images,
        dead: jax.Array,
        *,
        learning_rate: jax.Array,
        key: jax.Array,
    ) -> Trained:
        """Return the trained model. No argument has a client axis: `clients.lift` adds it.

        Args:
          model: what the client has received, in the recipe's dtype (int8 codes for `wage`).
          precision: the client's bits, int32 `[]` each, or `[L]` for one per layer.
          local_data: which images are the client's, `[M]`.
          images: the resident images of all clients, `[D, ...]`.
          dead: int32 `[L, 3]`, the steps in a row in which each tensor had learned nothing before this round.
          learning_rate: of this round, float32 `[]`.
          key: this client's and round's own random key.
        """
        ...


def make_local_train(
    module: nn.Module,
    recipe: Recipe,
    batch_size: int,
    local_epochs: int,
    view: Callable[[Any], Any] | None = None,
    augment: Augment | None = None,
    noise: Noise = CLEAN,
) -> LocalTrain:
    """Build the local training of one client: `local_epochs` epochs of the recipe's optimiser.

    Args:
      module: the network; `module.apply({"params": ...}, images, precision)` gives logits `[B, classes]`.
      recipe: its arithmetic, loss and optimiser.
      batch_size: B, images a step.
      local_epochs: epochs a round.
      view: float weights -> the weights that the network computes with, such as rounded ones; gradients go straight
        through it. None changes nothing.
      augment: changes a step's images, uint8 `[B, H, W, C]`, by a key of its own. None changes nothing.
      noise: of which `noise.inputs` is added to a step's images, anew in each step; the rest is the module's own.
    """
    train_step = _make_train_step(module, recipe, view, augment, noise)

    def local_train(
        model: Any,
        precision: Precision,
        local_data: LocalData,
        images: Images,
        dead: jax.Array,
        *,
        learning_rate: jax.Array,
        key: jax.Array,
    ) -> Trained:
        chex.assert_rank([local_data.indices, local_data.mask], 1)
        params = recipe.decode(model)
        order = batch_order(local_data, batch_size, local_epochs, stream(key, Stream.SHUFFLE))

        def train(progress: _Progress, batch: _Batch) -> tuple[_Progress, _StepLoss]:
            return train_step(progress, batch, images, precision, learning_rate, key)

        def skip(progress: _Progress, batch: _Batch) -> tuple[_Progress, _StepLoss]:
            return progress, _StepLoss(LossSum.nothing(), jnp.int32(0))

        def step(progress: _Progress, batch: _Batch) -> tuple[_Progress, _StepLoss]:
            """Skip a batch of padding only; that costs nothing unless clients are vmapped."""
            return lax.cond(batch.mask.any(), train, skip, progress, batch)

        numbers = jnp.cumsum(order.mask.any(axis=1)) - 1  # batches of padding only don't count
        start = _Progress(params, recipe.optimizer.init(params), dead)
        end, losses = lax.scan(step, start, _Batch(numbers, *order))
        loss = losses.total.sum().mean(jnp.maximum(jnp.sum(losses.examples), 1))
        return Trained(recipe.encode(end.params), loss, end.dead)

    return local_train


class _Progress(NamedTuple):
    """What goes from step to step."""

    params: Any  # float32
    optimizer: Any  # its state
    dead: jax.Array  # int32 [L, 3]


class _Batch(NamedTuple):
    """The batch of one step; its number counts the batches that are not padding only, from 0."""

    number: jax.Array  # int32 []
    indices: jax.Array  # int32 [B]
    mask: jax.Array  # bool [B]


class _StepLoss(NamedTuple):
    total: LossSum
    examples: jax.Array  # int32 []


def _make_train_step(
    module: nn.Module, recipe: Recipe, view: Callable | None, augment: Augment | None, noise: Noise
) -> Callable[..., tuple[_Progress, _StepLoss]]:
    """Build one local step: forward, backward, update."""

    def objective(params, images: jax.Array, labels: jax.Array, mask: jax.Array, precision: Precision, keys: dict):
        variables = {"params": params if view is None else _straight_through(view, params)}
        outputs: Any = module.apply(
            variables, normalise(images), precision, rngs=keys, mutable=[dead_layers.COLLECTION]
        )
        logits, intermediates = outputs
        terms = recipe.loss(logits, labels)
        weights = mask.astype(jnp.float32).reshape(mask.shape + (1,) * (terms.ndim - 1))
        return jnp.sum(terms * weights), (LossSum.of(terms, mask), intermediates)

    def train_step(
        progress: _Progress,
        batch: _Batch,
        resident: Images,
        precision: Precision,
        learning_rate: jax.Array,
        key: jax.Array,
    ) -> tuple[_Progress, _StepLoss]:
        images, labels = resident.images[batch.indices], resident.labels[batch.indices]
        if augment is not None:
            images = augment(images, stream(key, Stream.AUGMENT, batch.number))
        keys = {"error": stream(key, Stream.LAYER, batch.number)}
        if noise.anywhere:
            images, keys["noise"] = _with_noise(images, noise, stream(key, Stream.NOISE, batch.number))
        gradients, (loss, intermediates) = jax.grad(objective, has_aux=True)(
            progress.params, images, labels, batch.mask, precision, keys
        )
        updates, optimizer = recipe.optimizer.update(
            gradients,
            progress.optimizer,
            progress.params,
            key=stream(key, Stream.UPDATE, batch.number),
            learning_rate=learning_rate,
            precision=precision,
            examples=batch.mask.sum().astype(jnp.float32),
        )
        params = optax.apply_updates(progress.params, updates)
        dead = jnp.where(dead_layers.dead_layers(gradients, intermediates), progress.dead + 1, 0)
        return _Progress(params, optimizer, dead), _StepLoss(loss, batch.mask.sum())

    return train_step


def _with_noise(images: jax.Array, noise: Noise, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Images with the noise that they have in one step, and the key that the layers draw theirs from."""
    of_images, of_layers = jax.random.split(key)
    return perturb_images(images, noise, of_images) if noise.inputs else images, of_layers


def _straight_through(view: Callable[[Any], Any], params: Any) -> Any:
    """`view(params)`, with the gradients of `params`."""
    return jax.tree.map(lambda p, v: p + lax.stop_gradient(v - p), params, view(params))

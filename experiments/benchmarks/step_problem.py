"""One local step of many clients, set up once for every JAX worker: data, models, precisions and the real training."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from halo_jax.federation.local_data import Images, LocalData
from halo_jax.federation.local_training import make_local_train
from halo_jax.models import MODELS, layer_shapes
from halo_jax.numerics.dead_layers import none_dead
from halo_jax.recipes import RECIPES, Recipe
from halo_jax.types import Precision

CLASSES = 10


class Problem(NamedTuple):
    """C clients of B images each: `stacked` has a client axis, `shared` has none."""

    recipe: Recipe
    module: nn.Module
    stacked: tuple[Any, Precision, LocalData, jax.Array]  # models, bits [C], local data [C, B], keys [C]
    shared: tuple[Images, jax.Array]  # resident images, learning rate
    flops: float  # of one step of all clients


def step_flops(model: nn.Module, image: tuple[int, ...], samples: int) -> float:
    """Useful operations of convolutions and dense layers: forward, both gradients, no input gradient for layer 1."""
    total = 0
    for index, layer in enumerate(layer_shapes(model, image)):
        products = math.prod(layer.kernel) * layer.c_in * layer.c_out * math.prod(layer.out_hw)
        total += 2 * products * (2 if index == 0 else 3)
    return float(total * samples)


def make(case: dict) -> Problem:
    """The problem of a case: `clients`, `batch`, `width`, `image`, `recipe`, `exact`, `precisions`; VGG7 or `model`."""
    clients, batch, image = case["clients"], case["batch"], tuple(case["image"])
    recipe = RECIPES["wage"](exact=case["exact"]) if case["recipe"] == "wage" else RECIPES[case["recipe"]]()
    module = MODELS[case.get("model", "vgg7")](CLASSES, width=case["width"], numerics=recipe.numerics)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (clients * batch, *image), np.uint8))
    labels = jnp.asarray(rng.integers(0, CLASSES, clients * batch, np.int32))

    keys = jax.random.split(jax.random.key(0), clients)
    local_data = LocalData(jnp.arange(clients * batch).reshape(clients, batch), jnp.ones((clients, batch), bool))
    precision = Precision(*jnp.asarray(case["precisions"], jnp.int32).T)
    rate = jnp.float32(recipe.learning_rates[0])
    stacked = (_models(module, recipe, image, clients, rng), precision, local_data, keys)
    return Problem(recipe, module, stacked, (Images(images, labels), rate), step_flops(module, image, len(labels)))


def _models(module: nn.Module, recipe: Recipe, image: tuple[int, ...], clients: int, rng: np.random.Generator):
    """Uniform weights for every client, in the layers' limits; drawn by numpy, so that nothing is compiled for them."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, *image)), Precision(8, 8, 8)))

    def draw(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        limit = recipe.numerics.weight_limit(math.prod(leaf.shape[:-1]))
        return jnp.asarray(rng.uniform(-limit, limit, (clients, *leaf.shape)), jnp.float32)

    return recipe.encode(jax.tree.map(draw, shapes["params"]))


def local_step(problem: Problem, batch: int):
    """halo_jax's local training of one client for one step, in the argument order of `Problem`."""
    local_train = make_local_train(problem.module, problem.recipe, batch, local_epochs=1)

    def one_client(model, precision, local_data, key, images, rate):
        return local_train(model, precision, local_data, images, none_dead(model), learning_rate=rate, key=key)

    return one_client

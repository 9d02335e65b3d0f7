"""Worker: the same quantised step as one would write it first: lax convolutions, autodiff, vmap or a Python loop.

The quantisers, scales, loss and update are halo_jax's; the images, codes and random draws are those of `halo_step.py`,
so the same codes come out. Only the convolutions, pooling and the way over clients are different.
"""

import json
import math
import sys

import jax
import jax.numpy as jnp
import optax
import step_problem
from flax import linen as nn
from jax import lax
from timing import serve

from halo_jax.federation.local_data import batch_order, normalise
from halo_jax.numerics.quantize import quantize_activation, quantize_error, quantize_weight
from halo_jax.numerics.wage import DEFAULT
from halo_jax.recipes import Recipe
from halo_jax.types import Precision, Stream, stream


def network(params, images: jax.Array, bits: Precision) -> jax.Array:
    """VGG7 in WAGE's order, logits."""

    def layer(x, name, contract):
        x = quantize_activation(quantize_error(x, bits.errors), bits.activations)
        kernel = params[name]["kernel"]
        scale = DEFAULT.output_scale(math.prod(kernel.shape[:-1]))
        return contract(x, quantize_weight(kernel, bits.weights)) / scale

    def conv(x, w):
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    x = images
    for index in range(6):
        x = layer(x, f"QuantConv_{index}", conv)
        x = nn.relu(nn.max_pool(x, (2, 2), (2, 2)) if index % 2 else x)
    x = nn.relu(layer(x.reshape(x.shape[0], -1), "QuantDense_0", jnp.dot))
    return quantize_error(layer(x, "QuantDense_1", jnp.dot), bits.errors)


def one_client(recipe: Recipe, model, bits: Precision, local_data, key, data, rate):
    """One step: decode, gradient, update, encode."""
    order, _ = batch_order(local_data, local_data.indices.shape[0], 1, stream(key, Stream.SHUFFLE))
    params = recipe.decode(model)

    def loss(params):
        logits = network(params, normalise(data.images[order[0]]), bits)
        return jnp.sum(recipe.loss(logits, data.labels[order[0]]))

    value, gradients = jax.value_and_grad(loss)(params)
    update_key = stream(key, Stream.UPDATE, 0)
    updates, _ = recipe.optimizer.update(
        gradients, recipe.optimizer.init(params), params, key=update_key, learning_rate=rate, precision=bits
    )
    return recipe.encode(optax.apply_updates(params, updates)), value / order.size


def make_step(form: str, problem: step_problem.Problem):
    """`step()` trains all clients once, by `vmap` or by a Python `loop` of a jitted step."""
    stacked, shared = problem.stacked, problem.shared

    def client(*arguments):
        return one_client(problem.recipe, *arguments)

    if form == "vmap":
        together = jax.jit(jax.vmap(client, in_axes=(0, 0, 0, 0, None, None)))
        return lambda: together(*stacked, *shared)
    alone = jax.jit(client)
    count = stacked[3].shape[0]
    own = [jax.tree.map(lambda leaf: leaf[index], stacked) for index in range(count)]  # noqa: B023
    return lambda: [alone(*arguments, *shared) for arguments in own]


def prepare(case: dict):
    """The facts and the run of a case; compiling falls into the warm-up."""
    problem = step_problem.make({**case, "recipe": "wage", "exact": False})
    step = make_step(case["form"], problem)
    facts = {"jax": jax.__version__, "backend": jax.default_backend(), "flops": problem.flops}
    return facts, lambda: jax.block_until_ready(step()) and None


if __name__ == "__main__":
    serve(lambda: prepare(json.loads(sys.argv[1])))

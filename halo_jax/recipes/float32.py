"""Plain float32 FedAvg: SGD with momentum and cross-entropy, mean over the batch. Precision is ignored."""

from typing import Annotated

import jax
import jax.numpy as jnp
import optax

from halo_jax.numerics.arithmetic import FLOAT32
from halo_jax.parameters import rates, real
from halo_jax.recipes.base import LOSSES, Recipe

LEARNING_RATES = (0.05, 0.005, 0.0005)


def float32(
    *,
    momentum: Annotated[float, real(0, 0.999)] = 0.9,
    learning_rates: Annotated[tuple[float, ...], rates()] = LEARNING_RATES,
) -> Recipe:
    """Clients train the same network in float32; the model that travels is float32.

    Args:
      momentum: of stochastic gradient descent.
      learning_rates: one for each phase of the schedule.
    """
    return Recipe(
        numerics=FLOAT32,
        learning_rates=learning_rates,
        encode=lambda params: params,
        decode=lambda model: model,
        loss=LOSSES["cross_entropy"],
        optimizer=_sgd(momentum),
        model_bits=32,
        rounding="none",
        low_precision=False,
        crossbars=False,
    )


def _sgd(momentum: float) -> optax.GradientTransformationExtraArgs:
    """optax.trace, stepped by a learning rate that is an argument (traced: a new phase compiles nothing)."""
    trace = optax.trace(momentum)

    def update(updates, state, params=None, **extra):
        del params
        scale = 1.0 / jnp.maximum(extra.get("examples", 1.0), 1.0)
        velocity, state = trace.update(jax.tree.map(lambda g: g * scale, updates), state)
        return jax.tree.map(lambda v: -extra["learning_rate"] * v, velocity), state

    return optax.GradientTransformationExtraArgs(trace.init, update)

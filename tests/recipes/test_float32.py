"""The float32 recipe: SGD with momentum on the mean of the batch, against optax's own and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from halo_jax.numerics.arithmetic import FLOAT32
from halo_jax.recipes import float32


def step(optimizer, gradients, state, params, rate, examples):
    updates, state = optimizer.update(
        gradients, state, params, key=jax.random.key(0), learning_rate=rate, precision=None, examples=examples
    )
    return optax.apply_updates(params, updates), state


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_steps_are_those_of_optax_sgd_on_the_mean(momentum):
    optimizer, reference = float32(momentum=momentum).optimizer, optax.sgd(0.1, momentum)
    params = expected = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.5]])}
    state, reference_state = optimizer.init(params), reference.init(params)
    for number in range(3):
        total = {"a": jnp.array([4.0, -8.0]) * (number - 1), "b": jnp.array([[2.0]])}  # summed over 4 examples
        params, state = step(optimizer, total, state, params, 0.1, 4.0)
        updates, reference_state = reference.update(jax.tree.map(lambda g: g / 4, total), reference_state)
        expected = optax.apply_updates(expected, updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), params, expected)


def test_learning_rate_may_change_between_steps():
    """v = 1 then 1.9; w = 1 - 0.5 * 1 - 0.1 * 1.9."""
    optimizer, params = float32().optimizer, jnp.array([1.0])
    params, state = step(optimizer, jnp.array([2.0]), optimizer.init(params), params, 0.5, 2.0)
    params, _ = step(optimizer, jnp.array([2.0]), state, params, 0.1, 2.0)
    np.testing.assert_allclose(params, [0.31], rtol=1e-6)


def test_an_empty_batch_divides_by_one():
    optimizer, params = float32().optimizer, jnp.array([1.0])
    params, _ = step(optimizer, jnp.array([0.0]), optimizer.init(params), params, 0.5, 0.0)
    np.testing.assert_array_equal(params, [1.0])


def test_the_model_travels_as_it_is():
    recipe, params = float32(), {"a": jnp.array([0.1, 7.0])}
    assert recipe.encode(params) is params
    assert recipe.decode(params) is params
    assert (recipe.numerics, recipe.model_bits, recipe.rounding) == (FLOAT32, 32, "none")
    assert not recipe.low_precision
    assert not recipe.crossbars
    np.testing.assert_allclose(recipe.loss(jnp.zeros((2, 5)), jnp.array([0, 4])), np.log([5, 5]), rtol=1e-6)

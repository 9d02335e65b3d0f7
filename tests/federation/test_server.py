"""The server's average (Eq. 1): exact whole-number sums with one rounding, or a float mean."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.federation.server import aggregate, mean, to_master
from tests.oracles import wage_numpy

run = jax.jit(aggregate, static_argnames="rounding")
KEY = jax.random.key(0)


def clients(seed, dtype="int8", bits=8, size=40):
    """Five clients' models of two tensors, among them values at the bounds and ties."""
    rng = np.random.default_rng(seed)
    top = 2 ** (bits - 1) - 1
    models = {"a": rng.integers(-top, top + 1, (5, size)), "b": {"kernel": rng.integers(-top, top + 1, (5, 3, 4))}}
    models["a"][:, 0], models["a"][:, 1] = top, -top
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), models)


def counts_of(seed):
    """Examples a client: equal (ties), small, and near the largest sum that is allowed."""
    rng = np.random.default_rng(seed)
    return (np.full(5, 2), np.array([1, 1, 0, 0, 0]), rng.integers(1, 100, 5), rng.integers(1, 3_380_000, 5))[seed]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bits", [8, 12])
def test_nearest_is_the_integer_twin(seed, bits):
    counts = counts_of(seed) if bits == 8 else counts_of(seed) // 16 + 1
    models = clients(seed, "int8" if bits == 8 else "int16", bits)
    found = run(models, jnp.asarray(counts, jnp.int32), rounding="nearest", key=KEY)
    for average, leaf in zip(jax.tree.leaves(found), jax.tree.leaves(models), strict=True):
        assert average.dtype == leaf.dtype
        np.testing.assert_array_equal(average, wage_numpy.aggregate(np.asarray(leaf), counts, kg=bits))


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
def test_the_order_of_clients_does_not_matter(rounding):
    models, counts = clients(5), jnp.array([7, 1, 30, 2, 11], jnp.int32)
    order = jnp.array([3, 0, 4, 1, 2])
    shuffled = jax.tree.map(lambda leaf: leaf[order], models)
    found = run(models, counts, rounding=rounding, key=KEY)
    jax.tree.map(np.testing.assert_array_equal, found, run(shuffled, counts[order], rounding=rounding, key=KEY))


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
def test_equal_models_stay(rounding):
    one = {"a": jnp.arange(-127, 128, dtype=jnp.int8)}
    models = jax.tree.map(lambda leaf: jnp.stack([leaf] * 5), one)
    counts = jnp.array([3_380_000] * 5, jnp.int32)  # sums up to 2,146,300,000
    jax.tree.map(np.testing.assert_array_equal, run(models, counts, rounding=rounding, key=KEY), one)


def test_stochastic_is_unbiased_and_within_one_step():
    models, counts, draws = clients(6), np.array([3, 1, 4, 1, 5]), 3000
    keys = jax.random.split(KEY, draws)
    average = functools.partial(aggregate, models, jnp.asarray(counts, jnp.int32), rounding="stochastic")
    found = jax.jit(jax.vmap(lambda key: average(key=key)))(keys)
    for drawn, leaf in zip(jax.tree.leaves(found), jax.tree.leaves(models), strict=True):
        exact = np.tensordot(counts, np.asarray(leaf, np.int64), 1) / 14
        drawn = np.asarray(drawn, np.float64)
        assert np.abs(drawn - exact).max() < 1
        np.testing.assert_allclose(drawn.mean(0), exact, atol=5 * 0.5 / draws**0.5)
        both = [np.unique(column).size == 2 for column in drawn.reshape(draws, -1).T]
        np.testing.assert_array_equal(both, np.ravel(exact != np.round(exact)))


def test_float_models_are_averaged_without_rounding():
    models = jax.tree.map(lambda leaf: leaf.astype(jnp.float32) / 77, clients(7))
    counts = np.array([3, 1, 4, 1, 5])
    found = run(models, jnp.asarray(counts, jnp.int32), rounding="none", key=KEY)
    for average, leaf in zip(jax.tree.leaves(found), jax.tree.leaves(models), strict=True):
        assert average.dtype == jnp.float32
        np.testing.assert_allclose(average, np.average(leaf, axis=0, weights=counts), rtol=1e-5, atol=1e-6)


def test_clients_without_examples_do_not_count():
    models = clients(8)
    found = run(models, jnp.array([0, 9, 0, 0, 0], jnp.int32), rounding="stochastic", key=KEY)
    jax.tree.map(lambda average, leaf: np.testing.assert_array_equal(average, leaf[1]), found, models)


def test_a_mean_of_float_trees_is_weighted_and_a_weight_of_zero_counts_nothing():
    values = {"a": jnp.array([[1.0, 2.0], [3.0, 5.0], [7.0, 9.0]])}
    found = jax.jit(mean)(values, jnp.array([1.0, 3.0, 0.0]))
    np.testing.assert_allclose(found["a"], [2.5, 4.25])


def test_float_weights_become_codes_without_bias_within_a_step_and_within_the_grid():
    draws, weights = 2000, {"a": jnp.array([0.3, -0.3001, 0.25, 1.5, -2.0, 2.0**-9])}
    like = {"a": jnp.zeros(6, jnp.int8)}
    one = lambda key: to_master(weights, like, bits=8, rounding="stochastic", key=key)["a"]  # noqa: E731
    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(KEY, draws)))
    assert found.dtype == np.int8
    exact = np.clip(np.asarray(weights["a"], np.float64) * 128, -127, 127)
    assert np.abs(found - exact).max() < 1
    np.testing.assert_allclose(found.mean(0), exact, atol=5 * 0.5 / draws**0.5)
    nearest = to_master(weights, like, bits=8, rounding="nearest", key=KEY)["a"]
    np.testing.assert_array_equal(nearest, np.round(exact))
    assert to_master(weights, like, bits=32, rounding="none", key=KEY) is weights

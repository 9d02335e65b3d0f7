"""QA-FL: b-bit weights on a symmetric grid, in training and on both ways."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.qa_fl import qa_fl
from tests.compressors.context import CONTEXT

WEIGHTS = {"a": np.random.default_rng(2).normal(size=(9, 5)).astype(np.float32), "b": np.float32([0.3, -0.9, 0.05])}


@functools.partial(jax.jit, static_argnums=0)
def up(compressor, x, key):
    made = compressor.compress(x, (), CONTEXT, key)
    return compressor.decompress(made.message, x, CONTEXT), made


@functools.partial(jax.jit, static_argnums=0)
def down(compressor, x, key):
    made = compressor.server.broadcast(x, (), key)
    return made.weights, made


both_ways = pytest.mark.parametrize("way", [up, down])


@both_ways
@pytest.mark.parametrize("bits", [2, 5])
def test_what_travels_is_unbiased_and_within_a_step(way, bits):
    draws, top = 600, 2 ** (bits - 1) - 1
    keys = jax.random.split(jax.random.key(3), draws)
    found = jax.jit(jax.vmap(lambda key: way(qa_fl(bits=bits), WEIGHTS, key)[0]))(keys)

    def check(many, exact):
        many, step = np.asarray(many, np.float64), np.abs(exact).max() / top
        assert np.abs(many - exact).max() < step * (1 + 1e-5)
        np.testing.assert_allclose(many / step, np.round(many / step), atol=1e-4)
        share = np.asarray(exact, np.float64) / step % 1
        error = step * np.sqrt(share * (1 - share) / draws)
        assert np.all(np.abs(many.mean(0) - exact) <= 5 * error + 1e-5 * step)

    jax.tree.map(check, found, WEIGHTS)


def test_the_network_sees_the_nearest_weights_of_the_grid():
    seen = jax.jit(qa_fl(bits=3).view)({"a": np.float32([3, -1.4, 0.6, 0.4, -3])})
    np.testing.assert_array_equal(seen["a"], [3, -1, 1, 0, -3])


@both_ways
def test_weights_on_the_grid_stay_as_they_are(way):
    view = jax.jit(qa_fl(bits=6).view)
    once = view(WEIGHTS)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), view(once), once)
    found, _ = way(qa_fl(bits=3), {"a": np.float32([3, -1, 2])}, jax.random.key(0))
    np.testing.assert_array_equal(found["a"], [3, -1, 2])


@both_ways
def test_the_message_goes_through_the_wire_in_b_bits_a_weight(way):
    found, made = way(qa_fl(bits=5), WEIGHTS, jax.random.key(4))
    data = wire.pack(made.message)
    back = wire.unpack(data, made.message)
    jax.tree.map(np.testing.assert_array_equal, back, made.message)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(qa_fl(bits=5).decompress)(back, WEIGHTS, CONTEXT), found)
    assert int(made.nominal_bits) == 5 * 48 + 32 * 2
    weight = jax.jit(lambda: wire.size(made.message, made.nominal_bits))()
    assert wire.packed_bits(weight) == 8 * len(data) == 5 * 48 + 32 * 2


@both_ways
def test_zeros_constants_and_single_elements_come_out_as_they_are(way):
    x = [np.float32(part) for part in (np.zeros(5), np.full((2, 3), -0.7), [3], -2)]
    for found in (way(qa_fl(), x, jax.random.key(0))[0], jax.jit(qa_fl().view)(x)):
        jax.tree.map(lambda one, exact: np.testing.assert_allclose(one, exact, rtol=1e-6), found, x)


def test_changes_below_half_a_step_add_up_over_the_rounds():
    """A tenth of a step a round: nearest rounding on either way would stay where it started."""
    compressor, rounds, clients = qa_fl(bits=4), 40, 20

    def round_of(weights, key):
        keys = jax.random.split(key, clients + 1)
        start = compressor.server.broadcast(weights, (), keys[-1]).weights
        trained = start + jnp.asarray([0.0] + [0.1] * 200)
        mean = jnp.mean(jax.vmap(lambda key: up(compressor, trained, key)[0])(keys[:-1]), axis=0)
        return mean.at[0].set(7.0), None  # holds the grid, in steps of 1

    start = jnp.asarray([7.0] + [-2.0] * 200)
    end = jax.jit(lambda w: jax.lax.scan(round_of, w, jax.random.split(jax.random.key(5), rounds))[0])(start)
    moved = np.asarray(end[1:] + 2, np.float64)
    np.testing.assert_allclose(moved.mean(), 0.1 * rounds, atol=5 * moved.std() / 200**0.5)


@pytest.mark.parametrize("bits", [1, 17, 4.5])
def test_impossible_bits_are_refused(bits):
    with pytest.raises(ValueError, match=f"qa_fl: bits={bits}; allowed: 2 to 16"):
        qa_fl(bits=bits)

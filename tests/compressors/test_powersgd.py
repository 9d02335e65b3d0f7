"""PowerSGD: exact at the rank of its matrices, better from round to round, and nothing is lost in the end."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.base import Context
from halo_jax.compressors.powersgd import low_rank, orthonormal, powersgd
from halo_jax.types import Precision

CONTEXT = Context(
    client=jnp.int32(0),
    round=jnp.int32(0),
    precision=Precision(*(jnp.int32(8),) * 3),
    loss=jnp.float32(1),
    shared=jax.random.key(1),
)


@functools.partial(jax.jit, static_argnums=0)
def round_trip(compressor, x, state):
    made = compressor.compress(x, state, CONTEXT, jax.random.key(0))
    return compressor.decompress(made.message, x, CONTEXT), made


def matrix_of(rank, shape=(30, 20), seed=2):
    left, right = jax.random.split(jax.random.key(seed))
    return jax.random.normal(left, (shape[0], rank)) @ jax.random.normal(right, (rank, shape[1]))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_matrix_of_the_rank_or_below_is_rebuilt_exactly(rank):
    for x in (matrix_of(rank), 1e-6 * matrix_of(rank), matrix_of(1)):
        found, _ = round_trip(low_rank(rank=rank), x, low_rank(rank=rank).init(x))
        np.testing.assert_allclose(found, x, atol=2e-5 * float(jnp.max(jnp.abs(x))))


def test_columns_become_orthonormal_and_dependent_ones_zero():
    columns = jax.random.normal(jax.random.key(3), (40, 3)) * jnp.asarray([1e-6, 1.0, 1e3]) + 5e2
    found = np.asarray(orthonormal(columns), np.float64)
    np.testing.assert_allclose(found.T @ found, np.diag([1, 1, 1]), atol=1e-5)
    one = columns[:, 1]
    dependent = np.asarray(orthonormal(jnp.stack([one, -3 * one, 0 * one, columns[:, 2]], axis=1)))
    np.testing.assert_allclose(dependent.T @ dependent, np.diag([1, 0, 0, 1]), atol=1e-5)


def test_the_warm_start_approaches_the_best_matrix_of_the_rank():
    compressor, x = low_rank(rank=2), jax.random.normal(jax.random.key(4), (30, 20))
    singular = np.linalg.svd(np.asarray(x, np.float64), compute_uv=False)
    best = (singular[2:] ** 2).sum()
    state, errors = compressor.init(x), []
    step = jax.jit(lambda state: round_trip(compressor, x, state))
    for _ in range(40):
        found, made = step(state)
        state = made.state
        errors.append(float(jnp.sum((found - x) ** 2)))
    assert all(later <= earlier * (1 + 1e-5) for earlier, later in itertools.pairwise(errors))
    assert errors[0] > 1.1 * best
    np.testing.assert_allclose(errors[-1], best, rtol=0.01)


def test_a_tensor_that_rested_for_a_round_is_sent_again():
    compressor, x = low_rank(rank=2), matrix_of(2)
    for rested in (jnp.zeros_like(x), matrix_of(1, seed=5)):
        _, made = round_trip(compressor, rested, compressor.init(x))
        found, _ = round_trip(compressor, x, made.state)
        np.testing.assert_allclose(found, x, atol=1e-4)


def test_error_feedback_sends_everything_in_the_end():
    compressor = powersgd(rank=1)
    x = {"a": jax.random.normal(jax.random.key(6), (8, 6)), "b": jnp.asarray([1.0, -2.0])}
    state, arrived, rounds = compressor.init(x), jax.tree.map(jnp.zeros_like, x), 40
    step = jax.jit(lambda state: round_trip(compressor, x, state))
    for _ in range(rounds):
        found, made = step(state)
        state, arrived = made.state, jax.tree.map(jnp.add, arrived, found)
    jax.tree.map(
        lambda came, owed, sent: np.testing.assert_allclose(came + owed, rounds * sent, atol=1e-3), arrived, state[0], x
    )
    np.testing.assert_allclose(arrived["a"] / rounds, x["a"], atol=0.5)
    assert float(jnp.max(jnp.abs(found["a"] - x["a"]))) > 0.5  # one round alone is far away


def test_a_kernel_is_a_matrix_of_its_output_channels_and_what_is_small_travels_raw():
    """[3, 3, 4, 10] is 36 x 10: 2 (36 + 10) numbers. [4, 3] would take 14 for its 12, and a vector has no sides."""
    x = {"conv": jnp.ones((3, 3, 4, 10)), "dense": jnp.arange(12.0).reshape(4, 3), "bias": jnp.arange(7.0)}
    compressor = low_rank()
    assert [leaf.shape for leaf in jax.tree.leaves(compressor.init(x))] == [(10, 2)]
    found, made = round_trip(compressor, x, compressor.init(x))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5), found, x)
    np.testing.assert_array_equal(found["dense"], x["dense"])
    assert int(made.nominal_bits) == 32 * (2 * 46 + 12 + 7)


def test_the_message_goes_through_the_wire():
    x = {"a": matrix_of(3), "b": jnp.asarray([1.0, -0.0])}
    _, made = round_trip(low_rank(), x, low_rank().init(x))
    data = wire.pack(made.message)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
    assert wire.packed_bits(wire.size(made.message, made.nominal_bits)) == 8 * len(data) == 32 * (2 * 50 + 2)


@pytest.mark.parametrize("x", [jnp.zeros((9, 8)), jnp.full((9, 8), -0.7), jnp.asarray([3.0]), jnp.asarray(-2.0)])
def test_zeros_constants_and_single_elements_come_out_as_they_are(x):
    compressor = powersgd()
    found, made = round_trip(compressor, x, compressor.init(x))
    np.testing.assert_allclose(found, x, atol=1e-6)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(made.state))


def test_a_rank_below_one_is_refused():
    with pytest.raises(ValueError, match="powersgd: rank=0; allowed: 1 or more"):
        powersgd(rank=0)

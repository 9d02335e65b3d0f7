"""PowerSGD: exact at the rank of its matrices, better from round to round, and nothing is lost in the end."""

import functools
import itertools

import jax
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.powersgd import low_rank, orthonormal, powersgd
from tests.compressors.context import CONTEXT

DEFAULT = powersgd()


@functools.partial(jax.jit, static_argnums=0)
def round_trip(compressor, x, state):
    made = compressor.compress(x, state, CONTEXT, jax.random.key(0))
    return compressor.decompress(made.message, x, CONTEXT), made


def matrix_of(rank, shape=(30, 20), seed=2):
    rng = np.random.default_rng(seed)
    return np.float32(rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1])))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_matrix_of_the_rank_or_below_is_rebuilt_exactly(rank):
    compressor = low_rank(rank=rank)
    state = compressor.init(matrix_of(rank))
    for x in (matrix_of(rank), np.float32(1e-6) * matrix_of(rank), matrix_of(1)):
        found, _ = round_trip(compressor, x, state)
        np.testing.assert_allclose(found, x, atol=2e-5 * float(np.abs(x).max()))


def test_columns_become_orthonormal_and_dependent_ones_zero():
    columns = np.random.default_rng(3).normal(size=(40, 3)).astype(np.float32) * np.float32(
        [1e-6, 1, 1e3]
    ) + np.float32(5e2)
    found = np.asarray(jax.jit(orthonormal)(columns), np.float64)
    np.testing.assert_allclose(found.T @ found, np.diag([1, 1, 1]), atol=1e-5)
    one = columns[:, 1]
    dependent = np.asarray(jax.jit(orthonormal)(np.stack([one, -3 * one, 0 * one, columns[:, 2]], axis=1)))
    np.testing.assert_allclose(dependent.T @ dependent, np.diag([1, 0, 0, 1]), atol=1e-5)


def test_the_warm_start_approaches_the_best_matrix_of_the_rank():
    compressor, x = low_rank(rank=2), np.random.default_rng(4).normal(size=(30, 20)).astype(np.float32)
    singular = np.linalg.svd(np.asarray(x, np.float64), compute_uv=False)
    best = (singular[2:] ** 2).sum()
    state, errors = compressor.init(x), []
    for _ in range(40):
        found, made = round_trip(compressor, x, state)
        state = made.state
        errors.append(float(np.sum((np.asarray(found) - x) ** 2)))
    assert all(later <= earlier * (1 + 1e-5) for earlier, later in itertools.pairwise(errors))
    assert errors[0] > 1.1 * best
    np.testing.assert_allclose(errors[-1], best, rtol=0.01)


def test_a_tensor_that_rested_for_a_round_is_sent_again():
    compressor, x = low_rank(rank=2), matrix_of(2)
    for rested in (np.zeros_like(x), matrix_of(1, seed=5)):
        _, made = round_trip(compressor, rested, compressor.init(x))
        found, _ = round_trip(compressor, x, made.state)
        np.testing.assert_allclose(found, x, atol=1e-4)


def test_error_feedback_sends_everything_in_the_end():
    compressor = powersgd(rank=1)
    x = {"a": np.random.default_rng(6).normal(size=(8, 6)).astype(np.float32), "b": np.float32([1, -2])}
    state, arrived, rounds = compressor.init(x), jax.tree.map(np.zeros_like, x), 40
    for _ in range(rounds):
        found, made = jax.device_get(round_trip(compressor, x, state))
        state, arrived = made.state, jax.tree.map(np.add, arrived, found)
    jax.tree.map(
        lambda came, owed, sent: np.testing.assert_allclose(came + owed, rounds * sent, atol=1e-3), arrived, state[0], x
    )
    np.testing.assert_allclose(arrived["a"] / rounds, x["a"], atol=0.5)
    assert float(np.max(np.abs(found["a"] - x["a"]))) > 0.5  # one round alone is far away


def test_a_kernel_is_a_matrix_of_its_output_channels_and_what_is_small_travels_raw():
    """[3, 3, 4, 10] is 36 x 10: 2 (36 + 10) numbers. [4, 3] would take 14 for its 12, and a vector has no sides."""
    x = {"conv": np.ones((3, 3, 4, 10)), "dense": np.arange(12.0).reshape(4, 3), "bias": np.arange(7.0)}
    x = jax.tree.map(np.float32, x)
    compressor = low_rank()
    assert [leaf.shape for leaf in jax.tree.leaves(compressor.init(x))] == [(10, 2)]
    found, made = round_trip(compressor, x, compressor.init(x))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5), found, x)
    np.testing.assert_array_equal(found["dense"], x["dense"])
    assert int(made.nominal_bits) == 32 * (2 * 46 + 12 + 7)


def test_the_message_goes_through_the_wire():
    x = {"a": matrix_of(3), "b": np.float32([1.0, -0.0])}
    _, made = round_trip(low_rank(), x, low_rank().init(x))
    data = wire.pack(made.message)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
    weight = jax.jit(lambda: wire.size(made.message, made.nominal_bits))()
    assert wire.packed_bits(weight) == 8 * len(data) == 32 * (2 * 50 + 2)


@pytest.mark.parametrize("x", [np.zeros((9, 8)), np.full((9, 8), -0.7), np.array([3.0]), np.array(-2.0)])
def test_zeros_constants_and_single_elements_come_out_as_they_are(x):
    compressor, x = DEFAULT, np.float32(x)
    found, made = round_trip(compressor, x, compressor.init(x))
    np.testing.assert_allclose(found, x, atol=1e-6)
    assert all(bool(np.isfinite(leaf).all()) for leaf in jax.tree.leaves(made.state))


def test_a_rank_below_one_is_refused():
    with pytest.raises(ValueError, match="powersgd: rank=0; allowed: 1 or more"):
        powersgd(rank=0)

"""Error feedback: any compressor of updates, with a memory that loses nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors.base import Compressor, Upload
from halo_jax.compressors.error_feedback import error_feedback
from halo_jax.compressors.fedhq import fedhq
from halo_jax.compressors.qsgd import qsgd
from tests.compressors.context import CONTEXT

WEIGHTS = {"a": np.zeros((3, 2), np.float32), "b": np.zeros(4, np.float32)}


def counting_floor():
    """Whole numbers, rounded down: biased. Its own state counts the messages."""

    def compress(x, state, context, key):
        del context, key
        return Upload(jax.tree.map(jnp.floor, x), state + 1, 7)

    return Compressor(compress, lambda message, like, context: message, init=lambda weights: jnp.int32(10))


@pytest.mark.parametrize("inner", [counting_floor, lambda: qsgd(levels=2)])
def test_what_arrived_and_what_is_owed_are_the_sum_of_the_updates(inner):
    compressor = error_feedback(inner())
    state, total, arrived, rng = compressor.init(WEIGHTS), WEIGHTS, WEIGHTS, np.random.default_rng(0)

    @jax.jit
    def step(x, state, key):
        made = compressor.compress(x, state, CONTEXT, key)
        return compressor.decompress(made.message, x, CONTEXT), made.state

    for key in map(jax.random.key, range(20)):
        x = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), WEIGHTS)
        found, state = jax.device_get(step(x, state, key))
        total, arrived = jax.tree.map(np.add, total, x), jax.tree.map(np.add, arrived, found)
    jax.tree.map(
        lambda came, owed, sent: np.testing.assert_allclose(came + owed, sent, atol=1e-5), arrived, state[0], total
    )
    assert all(np.abs(owed).max() > 0 for owed in jax.tree.leaves(state[0]))


def test_small_updates_arrive_when_they_have_added_up():
    compressor = error_feedback(counting_floor())
    state, arrived = compressor.init(np.zeros(2, np.float32)), []
    compress = jax.jit(compressor.compress)
    for _ in range(8):
        made = compress(np.float32([0.25, 0.5]), state, CONTEXT, jax.random.key(0))
        state = made.state
        arrived.append(made.message)
    np.testing.assert_array_equal(np.cumsum(arrived, axis=0)[[2, 3, 7]], [[0, 1], [1, 2], [2, 4]])


def test_the_inner_state_and_bits_are_passed_on():
    compressor = error_feedback(counting_floor())
    made = compressor.compress(WEIGHTS, compressor.init(WEIGHTS), CONTEXT, jax.random.key(0))
    assert (int(made.state[1]), made.nominal_bits) == (11, 7)


def test_weights_of_the_average_see_the_inner_state():
    inner = fedhq(client_bits=(4,))
    examples, errors = np.float32([3, 5]), np.float32([0.5, 1])
    expected = inner.server.weigh(examples, errors)
    np.testing.assert_array_equal(error_feedback(inner).server.weigh(examples, (None, errors)), expected)


@pytest.mark.parametrize(
    "wrong", [{"carries": "weights"}, {"remembers": True}, {"feedback": False}, {"stats": jnp.abs}]
)
def test_compressors_that_a_memory_does_not_fit_are_refused(wrong):
    with pytest.raises(ValueError, match=r"^error_feedback=True; allowed: where updates are sent, without a memory"):
        error_feedback(counting_floor()._replace(**wrong))
    with pytest.raises(ValueError, match=r"^error_feedback=True"):
        error_feedback(error_feedback(counting_floor()))

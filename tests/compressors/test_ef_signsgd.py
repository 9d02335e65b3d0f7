"""EF-signSGD: signs times the mean size, which is a contraction, and a memory that loses nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.base import Context
from halo_jax.compressors.ef_signsgd import ef_signsgd, sign
from halo_jax.types import Precision

CONTEXT = Context(
    client=jnp.int32(0),
    round=jnp.int32(0),
    precision=Precision(*(jnp.int32(8),) * 3),
    loss=jnp.float32(1),
    shared=jax.random.key(1),
)
UPDATE = {"a": jnp.asarray([[3.0, -1.0, 0.5], [-0.5, 2.0, -5.0]]), "b": jnp.asarray([0.25, -0.75])}


def round_trip(compressor, x, state):
    made = compressor.compress(x, state, CONTEXT, jax.random.key(0))
    return compressor.decompress(made.message, x, CONTEXT), made


def test_each_tensor_becomes_its_signs_times_its_mean_size():
    found, made = round_trip(sign(), UPDATE, ())
    np.testing.assert_array_equal(found["a"], [[2, -2, 2], [-2, 2, -2]])
    np.testing.assert_array_equal(found["b"], [0.5, -0.5])
    assert int(made.nominal_bits) == 8 + 32 * 2


def test_the_message_goes_through_the_wire_in_one_bit_an_element():
    _, made = round_trip(sign(), UPDATE, ())
    data = wire.pack(made.message)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
    assert wire.packed_bits(wire.size(made.message, made.nominal_bits)) == 8 * len(data) == 8 + 32 * 2


def test_signs_contract_by_the_share_of_the_l1_norm():
    """||x - C(x)||^2 = ||x||^2 - ||x||_1^2 / n, the paper's Lemma 8 with equality."""
    x = jax.random.normal(jax.random.key(2), (300,)) ** 3
    found, _ = round_trip(sign(), x, ())
    exact = np.asarray(x, np.float64)
    expected = (exact**2).sum() - np.abs(exact).sum() ** 2 / 300
    np.testing.assert_allclose(((exact - np.asarray(found, np.float64)) ** 2).sum(), expected, rtol=1e-5)


@pytest.mark.parametrize("x", [jnp.zeros(5), jnp.full((2, 3), -0.7), jnp.asarray([3.0]), jnp.asarray(-2.0)])
def test_zeros_constants_and_single_elements_come_out_as_they_are(x):
    found, _ = round_trip(sign(), x, ())
    np.testing.assert_allclose(found, x, rtol=1e-6)


def test_error_feedback_sends_everything_in_the_end():
    """What was rebuilt over the rounds plus what is still owed is the sum of the updates; the debt stays bounded."""
    compressor = ef_signsgd()
    state, total, rebuilt = compressor.init(UPDATE), jax.tree.map(jnp.zeros_like, UPDATE), []
    step = jax.jit(lambda x, state: round_trip(compressor, x, state))
    for _ in range(60):
        found, made = step(UPDATE, state)
        state, total = made.state, jax.tree.map(jnp.add, total, UPDATE)
        rebuilt.append(found)
    arrived = jax.tree.map(lambda *parts: np.sum(parts, axis=0), *rebuilt)
    jax.tree.map(
        lambda came, owed, sent: np.testing.assert_allclose(came + owed, sent, rtol=1e-4), arrived, state[0], total
    )
    np.testing.assert_allclose(arrived["a"] / 60, UPDATE["a"], atol=0.5)
    assert np.abs(round_trip(sign(), UPDATE, ())[0]["a"] - UPDATE["a"]).max() == 3  # without memory it stays away

"""EF-signSGD: signs times the mean size, which is a contraction, and a memory that loses nothing."""

import functools

import jax
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.ef_signsgd import ef_signsgd, sign
from tests.compressors.context import CONTEXT

UPDATE = {"a": np.float32([[3, -1, 0.5], [-0.5, 2, -5]]), "b": np.float32([0.25, -0.75])}


SIGN = sign()


@functools.partial(jax.jit, static_argnums=0)
def round_trip(compressor, x, state):
    made = compressor.compress(x, state, CONTEXT, jax.random.key(0))
    return compressor.decompress(made.message, x, CONTEXT), made


def test_each_tensor_becomes_its_signs_times_its_mean_size():
    found, made = round_trip(SIGN, UPDATE, ())
    np.testing.assert_array_equal(found["a"], [[2, -2, 2], [-2, 2, -2]])
    np.testing.assert_array_equal(found["b"], [0.5, -0.5])
    assert int(made.nominal_bits) == 8 + 32 * 2


def test_the_message_goes_through_the_wire_in_one_bit_an_element():
    _, made = round_trip(SIGN, UPDATE, ())
    data = wire.pack(made.message)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
    weight = jax.jit(lambda: wire.size(made.message, made.nominal_bits))()
    assert wire.packed_bits(weight) == 8 * len(data) == 8 + 32 * 2


def test_signs_contract_by_the_share_of_the_l1_norm():
    """||x - C(x)||^2 = ||x||^2 - ||x||_1^2 / n, the paper's Lemma 8 with equality."""
    x = np.random.default_rng(2).normal(size=300).astype(np.float32) ** 3
    found, _ = round_trip(SIGN, x, ())
    exact = np.asarray(x, np.float64)
    expected = (exact**2).sum() - np.abs(exact).sum() ** 2 / 300
    np.testing.assert_allclose(((exact - np.asarray(found, np.float64)) ** 2).sum(), expected, rtol=1e-5)


@pytest.mark.parametrize("x", [np.zeros(5), np.full((2, 3), -0.7), np.array([3.0]), np.array(-2.0)])
def test_zeros_constants_and_single_elements_come_out_as_they_are(x):
    x = np.float32(x)
    found, _ = round_trip(SIGN, x, ())
    np.testing.assert_allclose(found, x, rtol=1e-6)


def test_error_feedback_sends_everything_in_the_end():
    """What was rebuilt over the rounds plus what is still owed is the sum of the updates; the debt stays bounded."""
    compressor = ef_signsgd()
    state, total, rebuilt = compressor.init(UPDATE), jax.tree.map(np.zeros_like, UPDATE), []
    for _ in range(60):
        found, made = jax.device_get(round_trip(compressor, UPDATE, state))
        state, total = made.state, jax.tree.map(np.add, total, UPDATE)
        rebuilt.append(found)
    arrived = jax.tree.map(lambda *parts: np.sum(parts, axis=0), *rebuilt)
    jax.tree.map(
        lambda came, owed, sent: np.testing.assert_allclose(came + owed, sent, rtol=1e-4), arrived, state[0], total
    )
    np.testing.assert_allclose(arrived["a"] / 60, UPDATE["a"], atol=0.5)
    assert np.abs(round_trip(SIGN, UPDATE, ())[0]["a"] - UPDATE["a"]).max() == 3  # without memory it stays away

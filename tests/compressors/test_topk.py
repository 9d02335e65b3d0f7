"""Top-k: exactly k elements, the largest, and nothing is lost over the rounds."""

import functools

import jax
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.topk import largest, topk
from tests.compressors.context import CONTEXT

GAUSSIAN = {
    "a": np.random.default_rng(2).normal(size=(60, 40)).astype(np.float32),
    "b": np.random.default_rng(3).normal(size=7).astype(np.float32),
}
SIZE = 60 * 40 + 7


def flat_of(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@functools.partial(jax.jit, static_argnums=0)
def round_trip(compressor, x, state=()):
    made = compressor.compress(x, state, CONTEXT, jax.random.key(0))
    return compressor.decompress(made.message, x, CONTEXT), made


@pytest.mark.parametrize("share", [0.0001, 0.03, 1.0])
def test_the_k_largest_come_out_as_they_are_and_the_rest_as_zeros(share):
    k = max(1, round(share * SIZE))
    exact = flat_of(GAUSSIAN)
    kept = np.argsort(-np.abs(exact), kind="stable")[:k]
    expected = np.zeros_like(exact)
    expected[kept] = exact[kept]
    found, made = round_trip(largest(share=share), GAUSSIAN)
    np.testing.assert_array_equal(flat_of(found), expected)
    assert sorted(made.message[1].values.tolist()) == sorted(kept)


def test_of_equal_elements_the_first_travel_and_never_more_than_k():
    x = np.float32([1, -2, 2, 0.5, 2, 2, -2, 3])
    found, _ = round_trip(largest(share=0.5), x)
    np.testing.assert_array_equal(found, [0, -2, 2, 0, 2, 0, 0, 3])
    constant, made = round_trip(largest(share=0.1), np.full((30, 10), -0.7, np.float32))
    assert made.message[0].shape == (30,)
    np.testing.assert_array_equal(np.ravel(constant), np.repeat(np.float32([-0.7, 0]), [30, 270]))


def test_it_is_a_contraction():
    """||x - Q(x)||^2 <= (1 - k/d) ||x||^2, with equality where all are of one size."""
    alike = np.random.default_rng(4).choice(np.float32([1, -1]), 200)
    for x, share in ((flat_of(GAUSSIAN), 0.1), (alike, 0.1), (alike**3 * np.arange(200, dtype=np.float32), 0.02)):
        missed = ((np.asarray(round_trip(largest(share=share), x)[0], np.float64) - x) ** 2).sum()
        bound = (1 - round(share * len(x)) / len(x)) * (np.asarray(x, np.float64) ** 2).sum()
        assert missed <= bound
        assert (missed == bound) == (x is alike)


def test_error_feedback_sends_everything_in_the_end():
    compressor = topk(share=0.25)
    x = np.float32([8, 4, 2, 1])
    state, arrived = compressor.init(x), np.zeros(4, np.float32)
    for rounds in range(1, 61):
        found, made = jax.device_get(round_trip(compressor, x, state))
        assert np.count_nonzero(found) == 1
        state, arrived = made.state, arrived + found
        np.testing.assert_array_equal(arrived + state[0], rounds * x)
    assert np.all(arrived > 0)
    assert np.abs(state[0]).max() <= 15  # a debt is sent before it exceeds what all four gain in a round


def test_zeros_and_single_elements_come_out_as_they_are():
    for x in (np.zeros((3, 4)), np.array([3.0]), np.array(-2.0), {"a": np.zeros(3), "b": np.zeros(())}):
        x = jax.tree.map(np.float32, x)
        found, made = round_trip(largest(share=0.5), x)
        jax.tree.map(np.testing.assert_array_equal, found, x)
        assert len(set(made.message[1].values.tolist())) == max(1, sum(leaf.size for leaf in jax.tree.leaves(x)) // 2)


def test_the_message_goes_through_the_wire_in_32_bits_and_a_place_each():
    found, made = round_trip(largest(share=0.01), GAUSSIAN)
    data = wire.pack(made.message)
    back = wire.unpack(data, made.message)
    jax.tree.map(np.testing.assert_array_equal, back, made.message)
    jax.tree.map(np.testing.assert_array_equal, jax.jit(largest().decompress)(back, GAUSSIAN, CONTEXT), found)
    assert int(made.nominal_bits) == 24 * (32 + 12)  # 2407 elements
    weight = jax.jit(lambda: wire.size(made.message, made.nominal_bits))()
    assert wire.packed_bits(weight) == 8 * len(data) == 24 * 44


def test_clients_are_compressed_side_by_side_as_one_by_one():
    compressor = largest(share=0.02)
    both = jax.tree.map(lambda leaf: np.stack([leaf, leaf[::-1] * 2]), GAUSSIAN)
    found = jax.vmap(lambda x: round_trip(compressor, x)[0])(both)
    for client in range(2):
        alone, _ = round_trip(compressor, jax.tree.map(lambda leaf, c=client: leaf[c], both))
        jax.tree.map(lambda one, all, c=client: np.testing.assert_array_equal(one, all[c]), alone, found)


@pytest.mark.parametrize("share", [0.0, 1.5, -0.1])
def test_impossible_shares_are_refused(share):
    with pytest.raises(ValueError, match=f"topk: share={share}; allowed: 0 < share <= 1"):
        topk(share=share)

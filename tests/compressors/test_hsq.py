"""HSQ: blocks become unit vectors and lengths; greedy ones are the nearest, drawn ones are right on average."""

import functools

import jax
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.hsq import _codebook, hsq
from tests.compressors.context import CONTEXT

KEY = jax.random.key(0)
# 1005 elements are no whole number of blocks; the small tensor stands first and is sent raw.
UPDATE = {
    "a": np.random.default_rng(2).normal(size=5).astype(np.float32),
    "b": np.random.default_rng(3).normal(size=(67, 15)).astype(np.float32),
}


@functools.partial(jax.jit, static_argnums=0)
def round_trip(compressor, x, key=KEY):
    made = compressor.compress(x, (), CONTEXT, key)
    return compressor.decompress(made.message, x, CONTEXT), made


def blocks_of(x, dimension):
    flat = np.ravel(np.asarray(x, np.float64))
    return np.pad(flat, (0, -len(flat) % dimension)).reshape(-1, dimension)


def test_the_codebook_is_unit_vectors_all_over_the_sphere():
    vectors = _codebook(16, 256).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    among = vectors @ vectors.T - 2 * np.eye(256)
    assert among.max() < 0.95  # no two are alike
    np.testing.assert_allclose(vectors.T @ vectors / 256, np.eye(16) / 16, atol=0.02)
    np.testing.assert_allclose(_codebook(8, 8) @ _codebook(8, 8).T, np.eye(8), atol=1e-6)


def test_greedy_takes_the_multiple_of_a_vector_that_is_nearest_to_the_block():
    found, _ = round_trip(hsq(norm_bits=16), UPDATE)
    exact, got = blocks_of(UPDATE["b"], 16), blocks_of(found["b"], 16)[:-1]
    products = exact @ _codebook(16, 256).astype(np.float64).T
    largest = np.abs(products).max(axis=1)
    exact, largest = exact[:-1], largest[:-1]  # the last block is cut off
    step = 2 * largest.max() / (2**16 - 1)
    lengths = np.linalg.norm(got, axis=1)
    np.testing.assert_allclose(lengths, largest, atol=step + 2**-13 * largest.max())
    norms = np.linalg.norm(exact, axis=1)
    assert np.all(lengths <= norms + step)
    missed = ((got - exact) ** 2).sum(axis=1)
    np.testing.assert_allclose(missed, norms**2 - largest**2, rtol=1e-2)
    assert np.all(missed < norms**2)


def test_drawn_vectors_are_right_on_average():
    draws = 3000
    x = {"b": UPDATE["b"][:, :15]}
    compressor = hsq(dimension=4, codewords=16, norm_bits=3, unbiased=True)
    keys = jax.random.split(jax.random.key(4), draws)
    found = jax.jit(jax.vmap(lambda key: round_trip(compressor, x, key)[0]["b"]))(keys)
    found = np.asarray(found, np.float64).reshape(draws, -1)
    off = (found.mean(0) - np.ravel(x["b"])) / (found.std(0) / draws**0.5)
    assert np.abs(off).max() < 5
    np.testing.assert_allclose(np.mean(off**2), 1, atol=0.25)  # a bias of 1/20 of the noise would double it


def test_greedy_vectors_are_nearer_and_drawn_ones_longer():
    errors = {}
    for unbiased in (False, True):
        found, _ = jax.device_get(round_trip(hsq(unbiased=unbiased), UPDATE))
        errors[unbiased] = float(np.sum((found["b"] - UPDATE["b"]) ** 2) / np.sum(UPDATE["b"] ** 2))
    assert errors[False] < 0.6 < 2 < errors[True]


def test_small_tensors_are_sent_as_they_are():
    found, made = round_trip(hsq(), {"a": np.arange(1000, dtype=np.float32), "b": np.float32(3)})
    np.testing.assert_array_equal(found["a"], np.arange(1000))
    assert (float(found["b"]), int(made.nominal_bits)) == (3, 32 * 1001)
    assert len(wire.pack(made.message)) == 4 * 1001


def test_the_message_goes_through_the_wire_with_a_vector_and_a_length_for_each_block():
    found, made = round_trip(hsq(codewords=200), UPDATE)
    data = wire.pack(made.message)
    back = wire.unpack(data, made.message)
    jax.tree.map(np.testing.assert_array_equal, back, made.message)
    rebuilt = jax.jit(hsq(codewords=200).decompress)(back, UPDATE, CONTEXT)
    jax.tree.map(np.testing.assert_array_equal, rebuilt, found)
    assert int(made.nominal_bits) == 63 * (8 + 6) + 64 + 32 * 5
    weight = wire.packed_bits(jax.jit(lambda: wire.size(made.message, made.nominal_bits))())
    assert weight == 8 * len(data) == -(-(63 * 14 + 64 + 160) // 8) * 8


@pytest.mark.parametrize("unbiased", [False, True])
def test_zeros_are_zeros_and_constants_are_rebuilt_alike_in_every_block(unbiased):
    compressor = hsq(unbiased=unbiased)
    np.testing.assert_array_equal(round_trip(compressor, np.zeros(1040, np.float32))[0], np.zeros(1040))
    found = np.asarray(round_trip(compressor, np.full(1040, -0.5, np.float32))[0])
    assert np.all(np.isfinite(found))
    if not unbiased:
        np.testing.assert_allclose(found, np.tile(found[:16], 65), atol=1e-5)
        assert np.sum((found + 0.5) ** 2) < 1040 * 0.25


def test_impossible_options_are_refused():
    for name, value, allowed in (
        ("dimension", 1, "2 to 64"),
        ("codewords", 15, "16 to 1024"),
        ("norm_bits", 17, "1 to 16"),
    ):
        with pytest.raises(ValueError, match=f"hsq: {name}={value}; allowed: {allowed}"):
            hsq(**{name: value})

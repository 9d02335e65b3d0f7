"""EDEN: Lloyd-Max levels after a rotation, with a scale that is right on average or one that errs the least."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from halo_jax.compressors import wire
from halo_jax.compressors.drive import drive
from halo_jax.compressors.eden import centroids, eden
from tests.compressors.context import CONTEXT

DISTORTION = {1: 1 - 2 / np.pi, 2: 0.11748, 3: 0.03455, 4: 0.009497}  # Max, IRE Trans. Inf. Theory 6, 1960, Table I
GAUSSIAN = np.random.default_rng(2).normal(size=40960).astype(np.float32)


eden, drive = functools.cache(eden), functools.cache(drive)  # one object, one trace


@functools.partial(jax.jit, static_argnums=0)
def round_trip(compressor, x, shared=CONTEXT.shared):
    context = CONTEXT._replace(shared=shared)
    made = compressor.compress(x, (), context, jax.random.key(0))
    return compressor.decompress(made.message, x, context), made


def error_of(found, x):
    return float(np.sum((np.asarray(found) - x) ** 2) / np.sum(x**2))


@pytest.mark.parametrize("bits", DISTORTION)
def test_centroids_are_the_means_of_their_cells_and_reach_lloyd_max_distortion(bits):
    levels = centroids(bits)
    edges = [-np.inf, *(levels[1:] + levels[:-1]) / 2, np.inf]
    np.testing.assert_allclose(levels, -levels[::-1], atol=1e-9)
    cells = list(zip(edges[:-1], edges[1:], levels, strict=True))
    np.testing.assert_allclose([scipy.stats.truncnorm.mean(a, b) for a, b, _ in cells], levels, atol=1e-6)
    spread = sum(
        scipy.integrate.quad(lambda z, c=c: (z - c) ** 2 * scipy.stats.norm.pdf(z), max(a, -9), min(b, 9))[0]
        for a, b, c in cells
    )
    np.testing.assert_allclose(spread, DISTORTION[bits], rtol=1e-3)


@pytest.mark.parametrize("bits", DISTORTION)
def test_the_error_is_the_distortion_with_the_least_scale_and_a_little_more_with_the_unbiased(bits):
    lost = DISTORTION[bits]
    for scale, expected in (("mse", lost), ("unbiased", lost / (1 - lost))):
        found, _ = round_trip(eden(bits=bits, scale=scale), GAUSSIAN)
        np.testing.assert_allclose(error_of(found, GAUSSIAN), expected, rtol=0.03)


def test_two_bits_are_unbiased_over_shared_keys():
    x = np.float32(np.random.default_rng(7).uniform(0.5, 1.5, 1024) * np.tile([-1, 1], 512))
    keys = jax.random.split(jax.random.key(8), 1000)
    found = np.asarray(jax.jit(jax.vmap(lambda key: round_trip(eden(bits=2), x, key)[0]))(keys), np.float64)
    exact = np.asarray(x, np.float64)
    error = ((found - exact) ** 2).sum(1).mean()
    missed = ((found.mean(0) - exact) ** 2).sum()
    np.testing.assert_allclose(missed, error / 1000, rtol=5 * (2 / 1024) ** 0.5)


def test_one_bit_with_the_unbiased_scale_is_drive():
    np.testing.assert_allclose(round_trip(eden(), GAUSSIAN)[0], round_trip(drive(), GAUSSIAN)[0], atol=1e-5)


def test_the_least_scale_leaves_an_error_across_what_is_rebuilt():
    found = np.asarray(round_trip(eden(bits=3, scale="mse"), GAUSSIAN)[0])
    np.testing.assert_allclose(np.vdot(GAUSSIAN - found, found) / np.vdot(found, found), 0, atol=1e-4)


@pytest.mark.parametrize("scale", ["mse", "unbiased"])
def test_zeros_are_zeros_and_single_elements_come_out_as_they_are(scale):
    for x in (np.zeros((3, 4), np.float32), np.float32([-2])):
        found, _ = round_trip(eden(bits=4, scale=scale), x)
        np.testing.assert_allclose(found, x, atol=1e-6)


def test_a_constant_is_rebuilt_near_itself():
    x = np.full((70, 70), -0.5, np.float32)
    assert error_of(round_trip(eden(bits=4), x)[0], x) < 0.02


def test_the_message_goes_through_the_wire_and_counts_its_filling():
    x = {"a": np.random.default_rng(13).normal(size=(60, 70)).astype(np.float32), "b": np.ones(7, np.float32)}
    found, made = round_trip(eden(bits=3), x)
    assert jax.tree.map(jnp.shape, found) == {"a": (60, 70), "b": (7,)}
    data = wire.pack(made.message)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
    assert int(made.nominal_bits) == 3 * 2 * 4096 + 2 * 32
    weight = jax.jit(lambda: wire.size(made.message, made.nominal_bits))()
    assert wire.packed_bits(weight) == 8 * len(data) == 3 * 2 * 4096 + 2 * 32


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="eden: bits=5; allowed: 1 to 4"):
        eden(bits=5)
    with pytest.raises(ValueError, match="eden: scale='max'; allowed: mse, unbiased"):
        eden(scale="max")

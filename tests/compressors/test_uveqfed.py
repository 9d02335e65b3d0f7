"""UVeQFed: the error is a uniform point of the lattice's cell, and rates are those of Gaussian updates."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.uveqfed import _nearest, _points, uveqfed
from tests.compressors.context import CONTEXT


def round_trip(compressor, x):
    def both(x):
        made = compressor.compress(x, (), CONTEXT, jax.random.key(0))
        return made, compressor.decompress(made.message, x, CONTEXT)

    return jax.device_get(jax.jit(both)(x))


def to_cell(error, rate, lattice):
    """Errors in units of zeta as sub-vectors [L, M] of the unscaled lattice."""
    unit = 2.0**-rate / (1 if lattice == 1 else math.sqrt(2 * math.sqrt(3)))
    return np.asarray(error, np.float64).reshape(lattice, -1) / unit


@pytest.mark.parametrize(("rate", "lattice"), [(1, 2), (3, 2), (2, 1)])
def test_the_error_is_zeta_times_a_uniform_point_of_the_cell_and_uncorrelated_with_x(rate, lattice):
    x = np.random.default_rng(2).choice(np.float32([-1, 0.1, 1]), 40_000)  # only dither spreads these
    made, found = round_trip(uveqfed(rate=rate, lattice=lattice), x)
    zeta = float(made.message[1])
    error = to_cell((found - x) / zeta, rate, lattice)
    count = error.shape[1]
    assert np.abs(np.corrcoef(error.ravel(), x)[0, 1]) < 5 / math.sqrt(error.size)
    assert np.abs(np.corrcoef(error.ravel() ** 2, x**2)[0, 1]) < 5 / math.sqrt(error.size)
    if lattice == 1:
        assert np.abs(error).max() <= 0.5 + 1e-4
        expected, fourth = 1 / 12, 1 / 80
    else:
        angles = np.arange(6) * math.pi / 3
        sides = np.stack([np.cos(angles), np.sin(angles)])  # the six neighbours are at distance 2: |projection| <= 1
        assert (sides.T @ error).max() <= 1 + 1e-4
        # along any axis, a regular hexagon of side a has variance 5 a^2 / 24; here a = 2 / sqrt 3
        expected, fourth = 5 / 18, 1.0
        assert abs(np.mean(error[0] * error[1])) < 5 * expected / math.sqrt(count)
    assert (np.abs(error.mean(1)) < 5 * math.sqrt(expected / count)).all()
    np.testing.assert_allclose((error**2).mean(1), expected, atol=5 * math.sqrt(fourth / count))


@pytest.mark.parametrize(("rate", "entropy", "loss"), [(1, 1.64, 0.194), (2, 2.36, 0.058), (4, 4.06, 0.0049)])
def test_gaussian_updates_take_the_known_bits_and_lose_the_known_share(rate, entropy, loss):
    x = np.random.default_rng(3).normal(size=60_000).astype(np.float32)
    made, found = round_trip(uveqfed(rate=rate), x)
    shares = np.bincount(np.asarray(made.message[0].values[0])) / 30_000
    bits = -np.sum(shares[shares > 0] * np.log2(shares[shares > 0])) / 2
    assert abs(bits - entropy) < 0.04
    np.testing.assert_allclose(np.mean((found - x) ** 2), loss, rtol=0.05)


def test_the_nearest_point_is_the_nearest_of_the_whole_table():
    most = 4
    points = np.random.default_rng(4).uniform(-3, 3, (2, 500)).astype(np.float32)
    table = np.stack(np.meshgrid(*(np.arange(-most, most + 1),) * 2)).reshape(2, -1)
    every = np.asarray(jax.jit(_points)(tuple(table)))
    best = np.linalg.norm(points[:, :, None] - every[:, None], axis=0).min(1)
    found = np.asarray(jax.jit(lambda points: _points(_nearest(points, most)))(points))
    np.testing.assert_allclose(np.linalg.norm(points - found, axis=0), best, atol=1e-5)


@pytest.mark.parametrize("lattice", [1, 2])
def test_outliers_are_clamped_with_their_sign(lattice):
    x = np.append([100, -100], np.random.default_rng(5).normal(size=3998)).astype(np.float32)
    made, found = round_trip(uveqfed(lattice=lattice), x)
    symbols = np.asarray(made.message[0].values[0])
    assert symbols.min() >= 0
    assert symbols.max() < 9**lattice
    reach = float(made.message[1])
    assert 0.5 * reach < found[0] < 100
    assert -100 < found[1] < -0.5 * reach


@pytest.mark.parametrize(("rate", "lattice"), [(2, 2), (8, 1)])
def test_the_message_packs_to_what_is_counted(rate, lattice):
    x = {"a": np.random.default_rng(6).normal(size=(5, 7)).astype(np.float32), "b": np.ones(10, np.float32)}
    made, found = round_trip(uveqfed(rate=rate, lattice=lattice), x)
    assert int(made.nominal_bits) == 32 + rate * 45
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, x)
    data = wire.pack(made.message)
    assert wire.packed_bits(jax.jit(lambda: wire.size(made.message, made.nominal_bits))()) == 8 * len(data)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)


@pytest.mark.parametrize("lattice", [1, 2])
@pytest.mark.parametrize("x", [np.zeros(6), np.full((3, 3), -0.7), np.full(1, 0.3)], ids=["zero", "same", "one"])
def test_zero_constant_and_single_updates_come_back_within_a_cell(x, lattice):
    x = np.float32(x)
    made, found = round_trip(uveqfed(rate=3, lattice=lattice), x)
    farthest = 2**-3 * (0.5 if lattice == 1 else 2 / math.sqrt(3) / math.sqrt(2 * math.sqrt(3)))
    assert np.abs(found - x).max() <= float(made.message[1]) * farthest * 1.001


@pytest.mark.parametrize("options", [{"lattice": 3}, {"rate": 5}, {"rate": 0}, {"rate": 9, "lattice": 1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=r"^uveqfed: \w+=.*; allowed: "):
        uveqfed(**options)

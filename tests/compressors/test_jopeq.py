"""JoPEQ: private noise and quantisation error together have the variance, and nearly the law, that privacy asks for."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.jopeq import T_LAWS, _noise, jopeq, laplace, student
from tests.compressors.context import CONTEXT


def round_trip(compressor, x, key=0):
    def both(x, key):
        made = compressor.compress(x, (), CONTEXT, key)
        return made, compressor.decompress(made.message, x, CONTEXT)

    return jax.device_get(jax.jit(both)(x, jax.random.key(key)))


def noise_of(key, shape, freedom):
    return np.asarray(jax.jit(lambda key: _noise(jax.random.uniform(key, shape), freedom))(jax.random.key(key)))


def signs(count):
    """Elements of +-1: mean 0, sigma 1 and h = +-1/3 exactly, the rows of pairs alike."""
    return np.tile(np.float32([1, -1]), count // 2)


def test_the_noise_has_laplaces_variance_nearly_its_law_and_leaves_the_mean():
    count, b = 60_000, 2 / 12
    x = signs(count)
    _, found = round_trip(jopeq(rate=4, epsilon=12.0), x)
    noise = np.sort(np.asarray((found - x) / 3, np.float64))
    assert abs(noise.mean()) < 5 * math.sqrt(2 * b * b / count)
    np.testing.assert_allclose(noise.var(), 2 * b * b, rtol=5 * math.sqrt(5 / count))
    law = np.where(noise < 0, np.exp(noise / b) / 2, 1 - np.exp(-np.abs(noise) / b) / 2)
    assert np.abs(law - np.arange(count) / count).max() < 0.02


def test_the_law_of_the_defaults_is_within_a_twentieth_of_laplaces():
    law, count, b = laplace(1, 4.0), 200_000, 0.5
    rng = np.random.default_rng(0)
    private = law.spread[0, 0] * noise_of(2, (1, count), 0)[0]
    both = np.sort(private + law.basis[0, 0] * rng.uniform(-0.5, 0.5, count))
    exact = np.where(both < 0, np.exp(both / b) / 2, 1 - np.exp(-np.abs(both) / b) / 2)
    assert 0.04 < np.abs(exact - np.arange(count) / count).max() < 0.05
    np.testing.assert_allclose(both.var(), 2 * b * b, rtol=0.03)


def test_standard_noise_of_pairs_follows_the_t_law_in_every_direction():
    count, freedom = 100_000, 4
    noise = np.asarray(noise_of(3, (2, count), freedom), np.float64)
    radius = np.sort(np.hypot(*noise))
    gap = 1.95 / math.sqrt(count)  # Kolmogorov's at 0.1 %
    assert np.abs(1 - (1 + radius**2 / freedom) ** (-freedom / 2) - np.arange(count) / count).max() < gap
    turn = np.sort(np.arctan2(noise[1], noise[0])) / (2 * math.pi) + 0.5
    assert np.abs(turn - np.arange(count) / count).max() < gap


@pytest.mark.parametrize("epsilon", T_LAWS)
@pytest.mark.parametrize("rate", [1, 8])
def test_noise_and_error_of_pairs_have_the_t_laws_covariance(epsilon, rate):
    square, freedom = T_LAWS[epsilon]
    law = student(rate, epsilon)
    private = freedom / (freedom - 2) * law.spread @ law.spread.T
    np.testing.assert_allclose(
        private + law.basis @ law.basis.T / 12, square * freedom / (freedom - 2) * np.eye(2), atol=1e-12
    )


def test_the_error_of_pairs_beside_the_private_noise_is_uniform_on_the_lattices_parallelogram():
    count = 20_000
    x = signs(2 * count)
    compressor, law = jopeq(rate=6, epsilon=4, lattice=2), student(6, 4)
    made, found = round_trip(compressor, x)
    private = law.spread @ noise_of(0, (2, count), law.freedom)
    sigma = float(made.message[1][0][1])
    total = np.asarray(found - x, np.float64).reshape(2, -1) / (3 * sigma)
    error = np.linalg.solve(law.basis, total - private)
    codes = np.asarray(made.message[0].values[0])
    inside = ((codes > 0) & (codes < 64)).all(0)
    assert inside.mean() > 0.9
    assert np.abs(error[:, inside]).max() < 0.5 + 1e-3
    np.testing.assert_allclose(error[:, inside].var(1), 1 / 12, rtol=0.05)


def test_far_elements_are_clipped_to_the_bound_of_privacy():
    x = np.float32([1000] + [0] * 1999)
    mean, sigma = 0.5, 1000 / math.sqrt(2000)
    keys = jax.random.split(jax.random.key(4), 1500)
    compressor = jopeq(rate=6, epsilon=20.0)

    def first(key):
        context = CONTEXT._replace(shared=jax.random.fold_in(key, 1))
        return compressor.decompress(compressor.compress(x, (), context, key).message, x, context)[0]

    found = np.asarray(jax.jit(lambda keys: jax.lax.map(first, keys, batch_size=100))(keys))
    assert abs(np.median(found) - (mean + 3 * sigma)) < 3 * sigma * 0.02


@pytest.mark.parametrize(("options", "nominal"), [({}, 77 + 2 * 64), ({"rate": 3, "lattice": 2}, 153 + 2 * 96)])
def test_the_message_packs_to_what_is_counted(options, nominal):
    """48 log2 3 = 76.08 and 48 log2 9 = 152.2."""
    x = {"a": np.random.default_rng(6).normal(size=(5, 7)).astype(np.float32), "b": np.arange(13, dtype=np.float32)}
    made, found = round_trip(jopeq(**options), x)
    assert int(made.nominal_bits) == nominal
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, x)
    data = wire.pack(made.message)
    assert wire.packed_bits(jax.jit(lambda: wire.size(made.message, made.nominal_bits))()) == 8 * len(data)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)


@pytest.mark.parametrize("lattice", [1, 2])
def test_zero_constant_and_single_tensors_come_back_as_they_are(lattice):
    x = {"zero": np.zeros(5, np.float32), "constant": np.full((3, 3), -0.7, np.float32), "one": np.float32([0.3])}
    _, found = round_trip(jopeq(lattice=lattice), x)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5), found, x)


@pytest.mark.parametrize(
    "options",
    [{"rate": 0}, {"rate": 9}, {"lattice": 3}, {"epsilon": 0}, {"epsilon": 9.4}, {"epsilon": 5, "lattice": 2}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=r"^jopeq: \w+=.*; allowed: "):
        jopeq(**options)

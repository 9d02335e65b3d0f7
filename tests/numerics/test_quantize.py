"""The grid and its quantisers against the qtorch vectors, whole-number arithmetic and their own definitions."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.numerics import quantize
from tests.oracles import wage_numpy

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "qtorch_vectors.npz", allow_pickle=False)
BITS = st.integers(2, 8)
few = settings(derandomize=True, deadline=None, max_examples=40)


def numbers(size, largest):
    """A fixed number of float32 values: shapes never change, so nothing is compiled twice."""
    return st.lists(st.floats(-largest, largest, width=32), min_size=size, max_size=size)


to_grid = jax.jit(quantize.to_grid)
fit_errors = jax.jit(quantize.fit_errors)


@jax.jit
def activation_and_error(x, error, activation_bits, error_bits):
    """Q_A after Q_E's place, as in a layer: the activation, and the error behind clip mask and Q_E."""

    def layer(x):
        return quantize.quantize_activation(quantize.quantize_error(x, error_bits), activation_bits)

    activation, back = jax.vjp(layer, x)
    return activation, back(error)[0]


@jax.jit
def error_through(error, bits):
    return jax.vjp(lambda x: quantize.quantize_error(x, bits), error)[1](error)[0]


@pytest.mark.parametrize("bits", range(2, 9))
def test_nearest_equals_qtorch(bits):
    x, codes = GOLDEN[f"nearest_{bits}_x"], GOLDEN[f"nearest_{bits}_code"]
    found = to_grid(jnp.asarray(np.pad(x, (0, 1400 - x.size))), bits)[: x.size]
    np.testing.assert_array_equal(found * 2.0 ** (bits - 1), codes)


def test_stochastic_with_given_noise_equals_qtorch():
    found = quantize.stochastic_round(jnp.asarray(GOLDEN["stochastic_x"]) * 128, jnp.asarray(GOLDEN["stochastic_u"]))
    np.testing.assert_array_equal(found, GOLDEN["stochastic_n"])


@pytest.mark.parametrize("activation_bits", [8, 6, 4])
@pytest.mark.parametrize("error_bits", [8, 6, 4])
def test_layer_of_mask_and_error_equals_qtorch(activation_bits, error_bits):
    z, d, a, e = (GOLDEN[f"layer_{activation_bits}{error_bits}_{name}"] for name in "zdae")
    x = np.maximum(z, 0) / (GOLDEN["layer_divisor"] * 2.0 ** (activation_bits - 1))
    found = activation_and_error(*map(jnp.float32, (x, d)), activation_bits, error_bits)
    np.testing.assert_array_equal(found[0] * 2.0 ** (activation_bits - 1), a)
    np.testing.assert_array_equal(found[1] * 2.0 ** (error_bits - 1), e)


@few
@given(numbers(8, 4), BITS)
def test_grid_is_idempotent_symmetric_and_of_bounded_whole_codes(x, bits):
    x = jnp.float32(np.array(x))
    once = to_grid(x, bits)
    codes = np.asarray(once) * 2.0 ** (bits - 1)
    np.testing.assert_array_equal(to_grid(once, bits), once)
    np.testing.assert_array_equal(to_grid(-x, bits), -once)
    np.testing.assert_array_equal(codes, np.round(codes))
    assert np.abs(codes).max() <= 2 ** (bits - 1) - 1
    np.testing.assert_array_equal(codes, wage_numpy.grid_codes(np.asarray(x), bits))


@pytest.mark.parametrize("bits", range(2, 17))
def test_step_and_levels_are_exact_powers_of_two(bits):
    assert float(quantize.step_size(bits)) == 2.0 ** (1 - bits)
    assert float(quantize.levels(jnp.int32(bits))) == 2.0 ** (bits - 1)


@pytest.mark.parametrize("bits", range(2, 9))
def test_traced_bits_are_python_bits(bits):
    x = jnp.linspace(-1.5, 1.5, 301)
    np.testing.assert_array_equal(to_grid(x, jnp.int32(bits)), quantize.to_grid(x, bits))


def test_bits_may_differ_by_element():
    x = jnp.linspace(-1.5, 1.5, 301)
    rows = quantize.to_grid(x, jnp.arange(2, 9)[:, None])
    for bits, row in zip(range(2, 9), rows, strict=True):
        np.testing.assert_array_equal(row, to_grid(x, bits))


def around_powers(exponents, offset, factor=1.0):
    """float32 values some last bits above and below factor * 2^n."""
    centre = np.ldexp(np.float32(factor), np.asarray(exponents)[:, None]).astype(np.float32)
    return (centre.view(np.int32) + np.asarray(offset, np.int32)).view(np.float32).ravel()


NEIGHBOURS = np.concatenate(
    [around_powers(range(-100, 100, 7), range(-3, 4), factor) for factor in (1, np.sqrt(2), 1.2, 1.9)]
)


def test_shift_is_exact_around_powers_of_two_and_sqrt_2():
    expected = np.array([float(wage_numpy.shift(float(x))) for x in NEIGHBOURS])
    np.testing.assert_array_equal(quantize.shift(jnp.asarray(NEIGHBOURS)), expected)
    np.testing.assert_array_equal([quantize.host_shift(float(x)) for x in NEIGHBOURS], expected)


def test_shift_turns_right_at_sqrt_2():
    root = np.float32(1.4142135)  # the float32 just below
    assert quantize.shift(root) == 1
    assert quantize.shift(np.nextafter(root, np.float32(2))) == 2
    assert quantize.host_shift(float(np.sqrt(2.0))) == 2  # the float64 just above
    assert quantize.host_shift(float(np.nextafter(np.sqrt(2.0), 0))) == 1


def test_ceil_shift_is_the_next_power_of_two():
    mantissa, exponent = np.frexp(NEIGHBOURS)  # mantissa in [1/2, 1)
    expected = np.ldexp(1.0, exponent - (mantissa == 0.5))
    np.testing.assert_array_equal(quantize.shift(jnp.asarray(NEIGHBOURS), "ceil"), expected)


@pytest.mark.parametrize("mode", ["round", "ceil"])
def test_shift_of_zero_is_one(mode):
    assert quantize.shift(jnp.float32(0), mode) == 1


def test_weight_gradient_passes_straight_through_also_where_clipped():
    weight, gradient = jnp.array([-2.0, -0.9, 0.1, 0.99, 3.0]), jnp.array([1.0, 2.0, 3.0, 4.0, 5.0])
    value, back = jax.vjp(lambda w: quantize.quantize_weight(w, 4), weight)
    np.testing.assert_array_equal(value, quantize.to_grid(weight, 4))
    np.testing.assert_array_equal(back(gradient)[0], gradient)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_activation_mask_includes_equality_and_comes_before_rounding(bits):
    top = np.float32(1 - 2.0 ** (1 - bits))
    above = np.nextafter(top, np.float32(2))  # rounds to the top code and still is masked
    x = jnp.array([top, -top, above, -above, 0.0, 1.0])
    value, back = jax.vjp(lambda x: quantize.quantize_activation(x, bits), x)
    np.testing.assert_array_equal(value, [top, -top, top, -top, 0, top])
    np.testing.assert_array_equal(back(jnp.full(6, 7.0))[0], [7, 7, 0, 0, 7, 0])


@few
@given(numbers(8, 100), BITS, st.integers(-30, 30))
def test_error_does_not_see_powers_of_two(error, bits, exponent):
    error = np.float32(error) * (np.abs(error) > 1e-3)  # no denormals after scaling
    found = error_through(jnp.asarray(error), bits)
    np.testing.assert_array_equal(error_through(jnp.asarray(np.ldexp(error, exponent)), bits), found)
    normal = float(wage_numpy.shift(float(np.abs(error).max())))
    np.testing.assert_array_equal(np.asarray(found) * 2.0 ** (bits - 1), wage_numpy.grid_codes(error / normal, bits))


def test_error_forward_is_the_identity():
    x = jnp.linspace(-3, 3, 7)
    np.testing.assert_array_equal(quantize.quantize_error(x, 4), x)


def test_error_of_zero_is_zero():
    np.testing.assert_array_equal(error_through(jnp.zeros(8), 8), np.zeros(8))


def test_ceil_errors_never_saturate():
    error = jnp.array([1.4, -1.3, 0.2, 0.0])

    def back(mode):
        return jax.vjp(lambda x: quantize.quantize_error(x, 8, shift_mode=mode), error)[1](error)[0]

    np.testing.assert_array_equal(back("ceil") * 128, [90, -83, 13, 0])  # over 2
    np.testing.assert_array_equal(back("round") * 128, [127, -127, 26, 0])  # over 1


def test_stochastic_errors_are_on_the_grid_and_unbiased():
    error, draws = jnp.array([1.0, 0.3, -0.3, 0.03, -0.8, 0.5]) * 0.75, 4000

    def one(key):
        return jax.vjp(lambda x: quantize.quantize_error(x, 4, key), error)[1](error)[0]

    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), draws)), np.float64)
    codes = found * 8
    np.testing.assert_array_equal(codes, np.round(codes))
    exact = np.asarray(error, np.float64) * 8  # Shift(0.75) = 1
    assert np.all(np.abs(codes - exact) < 1)
    np.testing.assert_allclose(codes.mean(0), exact, atol=5 * 0.5 / draws**0.5)
    assert np.unique(codes[:, 1]).size == 2


@few
@given(st.data(), BITS, st.integers(-40, 40))
def test_errors_on_a_grid_of_any_scale_fit_as_they_are(data, bits, exponent):
    top = 2 ** (bits - 1) - 1
    codes = data.draw(st.lists(st.integers(-top, top), min_size=8, max_size=8))
    error = np.ldexp(np.float32(codes), exponent)
    values, unit = fit_errors(jnp.asarray(error), bits)
    np.testing.assert_array_equal(values, error)
    np.testing.assert_array_equal(np.round(error / np.float64(unit)), error / np.float64(unit))


@few
@given(numbers(8, 1000), BITS)
def test_other_errors_are_rounded_to_the_bits_and_never_clipped(error, bits):
    error = np.float32(error) * (np.abs(error) > 1e-6)
    values, unit = (np.asarray(found, np.float64) for found in fit_errors(jnp.asarray(error), bits))
    assert np.frexp(unit)[0] == 0.5  # a power of two
    codes = values / unit
    np.testing.assert_array_equal(codes, np.round(codes))
    assert np.abs(codes).max() <= 2 ** (bits - 1) - 1
    assert np.abs(error - values).max() <= unit / 2
    if error.any():  # the smallest unit: half of it would clip
        assert np.abs(error).max() > (2 ** (bits - 1) - 1) * unit / 2


def test_uniform_like_draws_every_tensor_once():
    tree = {"a": jnp.zeros((3, 4)), "b": (jnp.zeros(5), jnp.zeros(())), "c": jnp.zeros((2, 1, 6))}
    draws = quantize.uniform_like(jax.random.key(3), tree)
    assert jax.tree.map(jnp.shape, draws) == jax.tree.map(jnp.shape, tree)
    flat = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(draws)])
    assert flat.dtype == np.float32
    assert np.unique(flat).size == flat.size == 30
    np.testing.assert_array_equal(flat * 2**16, np.round(flat * 2**16))
    again = quantize.uniform_like(jax.random.key(3), tree)
    jax.tree.map(np.testing.assert_array_equal, draws, again)


def test_uniform_noise_is_uniform_below_one():
    draws = np.asarray(quantize.uniform_16(jax.random.key(0), (20000,)))
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, 16, (0, 1))[0]
    assert np.abs(counts - 1250).max() < 5 * 1250**0.5

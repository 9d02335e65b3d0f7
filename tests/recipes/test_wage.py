"""The wage recipe: the law of its update, the master's codes, and the update alone in an optax loop."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from halo_jax.numerics.wage import Numerics
from halo_jax.recipes import wage
from halo_jax.recipes.wage import from_codes, to_codes, wage_update, weight_update
from halo_jax.types import Precision
from tests.oracles import wage_numpy

SIZE = 60


@functools.partial(jax.jit, static_argnames=("bits", "shift_mode"))
def moved(codes, gradient, noise, eta, bits=8, bound=1 - 2.0**-7, shift_mode="round"):
    """New master codes; noise may have draws in front."""
    weight = from_codes(codes, bits)
    step = functools.partial(weight_update, learning_rate=eta, bits=bits, bound=bound, shift_mode=shift_mode)
    change = jnp.vectorize(lambda u: step(gradient, weight, u), signature="(n)->(n)")(noise)
    return to_codes(weight + change, bits)


def sixteen_bits(rng, shape):
    return rng.integers(0, 2**16, shape) / 2.0**16


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("eta", [8, 1, 0.125])
def test_update_equals_the_integer_twin(bits, eta):
    rng = np.random.default_rng(bits)
    top = 2 ** (bits - 1) - 1
    masters, gradient = rng.integers(-top, top + 1, SIZE), rng.integers(-(2**14), 2**14, SIZE)
    masters[:10], masters[10:20] = top, -top
    noise = sixteen_bits(rng, SIZE)
    expected, _ = wage_numpy.update(masters, gradient, eta, noise, bits)
    codes = jnp.asarray(masters, jnp.int16 if bits > 8 else jnp.int8)
    for scale in (1, 2.0**-20):  # a power of two in front of the gradient changes nothing
        real = jnp.asarray(gradient * scale, jnp.float32)
        found = moved(codes, real, jnp.float32(noise), jnp.float32(eta), bits, 1 - 2.0 ** (1 - bits))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("eta", "bound"), [(8, 12), (1, 2), (0.125, 1)])
def test_update_is_unbiased_and_bounded(eta, bound):
    draws = 4000
    rng = np.random.default_rng(1)
    gradient = np.append(rng.normal(size=SIZE - 2), [4.0, -4.0]).astype(np.float32)
    gradient = gradient / np.abs(gradient).max() * np.float32(1.4142)  # the largest that Shift leaves
    n = -np.asarray(
        moved(
            jnp.zeros(SIZE, jnp.int8),
            jnp.asarray(gradient),
            jnp.float32(sixteen_bits(rng, (draws, SIZE))),
            jnp.float32(eta),
        ),
        np.int64,
    )
    exact = eta * gradient.astype(np.float64)
    assert np.abs(n).max() == bound
    assert np.abs(n - exact).max() <= 1
    np.testing.assert_allclose(n.mean(0), exact, atol=5 * 0.5 / draws**0.5)


def test_master_is_clipped_after_the_step():
    gradient = jnp.full(SIZE, -1.0)
    new = moved(jnp.full(SIZE, 125, jnp.int8), gradient, jnp.zeros(SIZE), jnp.float32(8))
    np.testing.assert_array_equal(new, np.full(SIZE, 127))
    new = moved(jnp.full(SIZE, -127, jnp.int8), -gradient, jnp.zeros(SIZE), jnp.float32(8))
    np.testing.assert_array_equal(new, np.full(SIZE, -127))


def test_no_gradient_moves_nothing_whatever_the_noise():
    codes = jnp.asarray(np.random.default_rng(2).integers(-127, 128, SIZE), jnp.int8)
    noise = jnp.full(SIZE, 1 - 2.0**-16)
    np.testing.assert_array_equal(moved(codes, jnp.zeros(SIZE), noise, jnp.float32(8)), codes)


def test_ceil_shift_halves_steps_above_a_power_of_two():
    gradient = jnp.asarray(np.linspace(-1.25, 1.25, SIZE), jnp.float32)
    codes, noise = jnp.zeros(SIZE, jnp.int8), jnp.zeros(SIZE)
    found = [-moved(codes, gradient, noise, jnp.float32(8), shift_mode=mode) for mode in ("round", "ceil")]
    np.testing.assert_array_equal(found[0], np.floor(8 * np.asarray(gradient)))
    np.testing.assert_array_equal(found[1], np.floor(4 * np.asarray(gradient)))


@pytest.mark.parametrize("bits", range(8, 13))
def test_codes_come_back(bits):
    top = 2 ** (bits - 1) - 1
    dtype = jnp.int8 if bits == 8 else jnp.int16
    codes = jnp.asarray(np.linspace(-top, top, 255).round(), dtype)
    weights = from_codes(codes, bits)
    assert weights.dtype == jnp.float32
    np.testing.assert_array_equal(weights, np.asarray(codes, np.float64) / 2 ** (bits - 1))
    again = to_codes(weights, bits)
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, codes)


def test_codes_round_half_to_even_and_are_clipped():
    weights = jnp.array([0.5, 1.5, -2.5, 126.6, 127.5, 200.0, -128.0]) / 128
    np.testing.assert_array_equal(to_codes(weights), [0, 2, -2, 127, 127, 127, -127])


@pytest.mark.parametrize(("clip_bits", "largest"), [("gradient", 127), ("weights", 64)])
def test_clip_bits_choose_the_grid_that_bounds_the_master(clip_bits, largest):
    start, gradient = {"a": jnp.full((4, 5), 0.45)}, {"a": -jnp.ones((4, 5))}
    transform = wage_update(clip_bits=clip_bits)

    @jax.jit
    def many(params, precision):
        def step(index, params):
            updates, _ = transform.update(
                gradient, (), params, key=jax.random.key(index), learning_rate=8.0, precision=precision
            )
            return optax.apply_updates(params, updates)

        return jax.lax.fori_loop(0, 20, step, params)

    low = many(start, Precision(jnp.int32(2), jnp.int32(8), jnp.int32(8)))
    np.testing.assert_array_equal(low["a"] * 128, np.full((4, 5), largest))
    high = many(start, Precision(jnp.int32(8), jnp.int32(2), jnp.int32(2)))
    np.testing.assert_array_equal(high["a"] * 128, np.full((4, 5), 127))


def test_each_tensor_has_its_own_shift_and_noise():
    gradients = {"large": jnp.full(SIZE, 1000.0), "small": jnp.full(SIZE, 0.001), "same": jnp.full(SIZE, 1000.0)}
    params = jax.tree.map(jnp.zeros_like, gradients)
    updates, _ = wage_update().update(gradients, (), params, key=jax.random.key(0), learning_rate=0.125)
    mean = {name: float(jnp.abs(update).mean() * 128) for name, update in updates.items()}
    assert 0.02 < mean["small"] < 0.3
    assert 0.02 < mean["large"] < 0.3
    assert not np.array_equal(updates["large"], updates["same"])


def test_update_alone_minimises_in_an_optax_loop():
    target = {"a": jnp.asarray(np.random.default_rng(3).uniform(-0.9, 0.9, SIZE), jnp.float32)}
    optimizer = optax.chain(optax.identity(), wage_update())

    @jax.jit
    def minimise(params):
        def step(index, carry):
            params, state = carry
            gradients = jax.grad(lambda p: jnp.sum((p["a"] - target["a"]) ** 2))(params)
            rate = jnp.where(index < 100, 8.0, 1.0)
            updates, state = optimizer.update(gradients, state, params, key=jax.random.key(index), learning_rate=rate)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, 200, step, (params, optimizer.init(params)))[0]

    found = minimise(jax.tree.map(jnp.zeros_like, target))
    np.testing.assert_allclose(found["a"], target["a"], atol=4 / 128)
    np.testing.assert_array_equal(found["a"] * 128, np.round(found["a"] * 128))


def test_update_needs_params():
    with pytest.raises(ValueError, match="needs params"):
        wage_update().update({"a": jnp.zeros(2)}, (), key=jax.random.key(0), learning_rate=1.0)


def test_options_reach_their_places():
    recipe = wage(min_limit=0.5, input_bits=8, shift="ceil", error_rounding="stochastic", order="neurosim", exact=False)
    assert recipe.numerics == Numerics(0.5, "neurosim", 8, "ceil", "stochastic", False)
    assert recipe.low_precision
    assert recipe.crossbars
    assert wage().learning_rates == (8, 1, 0.125)  # the paper's
    assert (wage().model_bits, wage(gradient_bits=11).model_bits, wage(aggregation="none").model_bits) == (8, 11, 32)
    assert wage(aggregation="nearest").rounding == "nearest"
    labels = jnp.array([1, 0])
    np.testing.assert_allclose(
        wage().loss(jnp.array([[0.5, 0.2], [1.0, -1.0]]), labels), [[0.125, 0.32], [0, 0.5]], rtol=1e-6
    )
    np.testing.assert_allclose(wage(loss="cross_entropy").loss(jnp.zeros((2, 4)), labels), np.log([4, 4]), rtol=1e-6)

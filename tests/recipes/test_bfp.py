"""Block floating point in training: its blocks, exact sums, noise, and the same bits on every executor."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.federation.clients import EXECUTORS
from halo_jax.numerics.layers import QuantConv, QuantDense
from halo_jax.numerics.quantize import levels
from halo_jax.recipes import bfp, wage
from halo_jax.recipes.bfp import quantize_error, to_blocks
from halo_jax.runner.run_experiment import run
from halo_jax.types import Noise, Precision
from tests.oracles import bfp_numpy
from tests.toy_run import toy_config


def bits_of(*bits):
    return Precision(*map(jnp.int32, bits))


# --- blocks


@pytest.mark.parametrize("bits", range(2, 9))
def test_a_block_is_codes_times_a_power_of_two(bits):
    rng = np.random.default_rng(bits)
    x = np.float32(rng.normal(size=(6, 3, 50)) * 2.0 ** np.arange(-30, 30, 10)[:, None, None])
    blocks = jax.jit(to_blocks, static_argnums=2)(x, jnp.int32(bits), (1, 2))
    codes, exponent = bfp_numpy.encode(x, bits, (1, 2))
    np.testing.assert_array_equal(blocks.mantissas * levels(bits), codes)
    np.testing.assert_array_equal(blocks.scale, 2.0 ** (exponent + 1))
    peak = np.abs(codes).max((1, 2))
    assert (peak >= 2 ** (bits - 2)).all()  # every block uses the grid's upper half
    assert (peak < 2 ** (bits - 1)).all()


def test_gradients_pass_straight_through_a_block_and_a_scale_has_none():
    x, error = jnp.array([[0.3, -5.0], [0.0, 0.0]]), jnp.array([[1.0, 2.0], [3.0, 4.0]])
    value = lambda x: jnp.multiply(*to_blocks(x, 3, (1,)))  # noqa: E731
    np.testing.assert_array_equal(jax.vjp(value, x)[1](error)[0], error)


def test_stochastic_errors_are_unbiased_and_stay_on_their_grid():
    error = jnp.asarray(np.random.default_rng(0).uniform(-0.7, 0.7, 40).astype(np.float32)).at[0].set(0.72)

    @jax.jit
    @jax.vmap
    def draw(key):
        return jax.vjp(lambda x: quantize_error(x, 4, key), error)[1](error)[0]

    found = np.asarray(draw(jax.random.split(jax.random.key(0), 4000)), np.float64)
    codes = found * 8
    np.testing.assert_array_equal(codes, np.round(codes))
    assert np.abs(found - np.asarray(error)).max() < 1 / 8
    np.testing.assert_allclose(found.mean(0), error, atol=5 * 0.5 / 8 / 4000**0.5)


# --- layers


def gradients(layer, x, kernel, error, bits, numerics=None):
    """Output, error at the input and weight gradient."""
    layer = layer.copy(numerics=numerics or bfp().numerics)

    @jax.jit
    def run(x, kernel, error, precision):
        apply = lambda x, w: layer.apply({"params": {"kernel": w}}, x, precision)  # noqa: E731
        y, pull = jax.vjp(apply, x, kernel)
        return y, *pull(error)

    return [np.asarray(leaf, np.float64) for leaf in run(x, kernel, error, bits_of(*bits))]


CASES = {
    "forward and errors": (("dense",), QuantDense(1100), (3, 5000), (5000, 1100)),
    "weight gradient": (("conv", False), QuantConv(5), (13, 10, 10, 2), (3, 3, 2, 5)),
}


@pytest.mark.parametrize("case", CASES)
def test_sums_are_exact_where_float32_would_round(case):
    """Codes near the largest, with whole-number sums above 2^24: each is rounded to float32 once."""
    kind, layer, x_shape, kernel_shape = CASES[case]
    rng = np.random.default_rng(1)
    saturated = lambda *shape: np.where(rng.random(shape) < 0.05, 126, 127) / 128  # noqa: E731
    sizes = 2.0 ** (np.arange(x_shape[0]) % 3).reshape(-1, *[1] * (len(x_shape) - 1))
    x, kernel = np.float32(saturated(*x_shape) * sizes), np.float32(saturated(*kernel_shape) / 4)
    # errors in inverse proportion to the examples, which the scales make good
    error = np.float32(saturated(*x_shape[:-1], kernel_shape[-1]) * 2.0**-8 / sizes)
    found = gradients(layer, x, kernel, error, (8, 8, 8))
    y, tape = bfp_numpy.forward([kind], [kernel], x, 8, 8)
    _, (gradient,), below = bfp_numpy.backward([kind], tape, error, (8, 8, 8))
    right = (y, below, gradient)
    rounds = [bool((np.float32(exact) != exact).any()) for exact in right]
    assert rounds == ([True, True, False] if case == "forward and errors" else [False, False, True])
    for ours, exact in zip(found, right, strict=True):
        np.testing.assert_array_equal(ours, np.float32(exact))


def test_an_example_does_not_depend_on_its_batch():
    rng = np.random.default_rng(2)
    x = np.float32(rng.normal(size=(4, 5, 5, 2)) * 4.0 ** np.arange(4)[:, None, None, None])
    layer, kernel = QuantConv(3, numerics=bfp().numerics), np.float32(rng.uniform(-1, 1, (3, 3, 2, 3)))
    apply = jax.jit(lambda x: layer.apply({"params": {"kernel": kernel}}, x, bits_of(4, 4, 4)))
    np.testing.assert_array_equal(apply(x)[1], apply(np.concatenate([x[1:2], np.zeros((3, 5, 5, 2), np.float32)]))[0])


def test_noise_of_crossbars_is_of_the_mantissas():
    """Its deviation is in proportion to what a crossbar holds, so a channel's scale comes in front of it."""
    rng, noise = np.random.default_rng(3), Noise(weights=0.1)
    kernel = np.float32(rng.uniform(-1, 1, (400, 2))) * np.float32([1, 2.0**-6])
    x = np.eye(400, dtype=np.float32)
    layer = QuantDense(2, numerics=bfp().numerics.with_noise(noise))
    run = jax.jit(
        lambda key: (
            layer.apply({"params": {"kernel": kernel}}, x, bits_of(8, 8, 8), rngs={"noise": key})
            - QuantDense(2, numerics=bfp().numerics).apply({"params": {"kernel": kernel}}, x, bits_of(8, 8, 8))
        )
    )
    alpha = bfp().numerics.output_scale(400)
    added = np.asarray(run(jax.random.key(0)), np.float64) * alpha
    np.testing.assert_allclose(added.std(0), 0.1 * np.sqrt((kernel**2).mean(0)), rtol=0.15)


# --- runs

ALL = "halo_ps:recipe.name=bfp,recipe.error_rounding=stochastic,noise.weights=0.2,noise.errors=0.2"
ARMS = ("4-6-8:recipe.name=wage", "4-6-8:recipe.name=bfp", "8-4-4:recipe.name=bfp", ALL)


def train(folder, arms, executor="map"):
    """Hash and test loss of each arm's model."""
    run(toy_config(arms=arms, executor=executor, rounds=2), folder)
    summaries = [json.loads((folder / arm / "summary.json").read_text()) for arm in arms]
    return [(summary["model_sha256"], summary["test_loss"]) for summary in summaries]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.getbasetemp() / "bfp", ARMS)


@pytest.mark.slow
def test_models_are_other_than_those_of_wage_and_differ_by_bits_and_noise(trained):
    assert len({model for model, _ in trained}) == len(ARMS)


@pytest.mark.slow
@pytest.mark.parametrize("executor", [name for name in EXECUTORS if name != "map"])
def test_every_executor_trains_the_same_model(trained, tmp_path, executor):
    assert train(tmp_path, (ALL,), executor) == trained[-1:]


def test_options_reach_their_places():
    recipe = bfp(min_limit=0.5, input_bits=8, error_rounding="stochastic", exact=False, gradient_bits=12)
    numerics = recipe.numerics
    assert (numerics.min_limit, numerics.input_bits, numerics.error_rounding) == (0.5, 8, "stochastic")
    assert not numerics.exact
    assert recipe.model_bits == 12
    master, other = bfp(loss="cross_entropy", aggregation="none"), wage(loss="cross_entropy", aggregation="none")
    assert (master.loss, master.rounding, master.model_bits) == (other.loss, other.rounding, other.model_bits)

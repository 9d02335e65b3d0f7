"""The contract of every entry of RECIPES: layers, what travels, what is differentiated, a step of the optimizer."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from halo_jax.numerics.arithmetic import FLOAT32
from halo_jax.numerics.layers import QuantConv
from halo_jax.parameters import declared
from halo_jax.recipes import RECIPES, Recipe
from halo_jax.types import Noise, Precision

VARIANTS = {
    "wage": [
        {},
        {"gradient_bits": 12, "clip_bits": "weights", "shift": "ceil", "loss": "cross_entropy"},
        {"aggregation": "none"},
    ],
    "bfp": [
        {},
        {"gradient_bits": 12, "loss": "cross_entropy", "error_rounding": "stochastic"},
        {"aggregation": "none"},
    ],
}
CASES = [(name, options) for name in RECIPES for options in VARIANTS.get(name, [{}])]
every = pytest.mark.parametrize(("name", "options"), CASES)

PARAMS = {"conv": {"kernel": np.linspace(-0.8, 0.8, 24).reshape(2, 3, 4)}, "dense": {"kernel": np.eye(4)[:3] / 3}}
PRECISION = Precision(*(jnp.int32(8),) * 3)


def params():
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), PARAMS)


def shapes(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("name", RECIPES)
def test_options_are_config_fields_with_defaults(name):
    options = declared(RECIPES[name])
    assert set(inspect.signature(RECIPES[name]).parameters) - {"exact"} == set(options)
    assert all(field.reason for field in options.values())


@every
def test_fields_are_of_their_kind(name, options):
    recipe = RECIPES[name](**options)
    assert isinstance(recipe, Recipe)
    assert recipe.low_precision == (recipe.numerics != FLOAT32)
    assert recipe.rounding in ("stochastic", "nearest", "none")
    assert all(rate > 0 for rate in recipe.learning_rates)
    assert RECIPES[name](**options, learning_rates=(2.0, 1.0)).learning_rates == (2.0, 1.0)


@every
def test_what_travels_comes_back_the_same(name, options):
    recipe = RECIPES[name](**options)
    model = recipe.encode(params())
    decoded = recipe.decode(model)
    assert shapes(decoded) == shapes(params())  # float32, to be differentiated
    equal(recipe.encode(decoded), model)
    assert shapes(recipe.encode(decoded)) == shapes(model)
    whole = all(jnp.issubdtype(leaf.dtype, jnp.integer) for leaf in jax.tree.leaves(model))
    assert whole == (recipe.rounding != "none")  # the server sums whole numbers or averages floats
    assert all(leaf.dtype.itemsize * 8 >= recipe.model_bits for leaf in jax.tree.leaves(model))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2.0**-8), decoded, params())


@every
def test_loss_has_terms_of_the_batch_that_are_not_negative(name, options):
    recipe = RECIPES[name](**options)
    logits, labels = jnp.array([[0.2, -1.0, 3.0], [0.0, 0.5, 0.1]]), jnp.array([2, 0])
    terms = recipe.loss(logits, labels)
    assert terms.shape[0] == 2
    assert float(terms.min()) >= 0
    for row in range(2):  # every example by itself
        np.testing.assert_allclose(recipe.loss(logits[row : row + 1], labels[row : row + 1])[0], terms[row], rtol=1e-6)
    better = recipe.loss(logits.at[1].set(jnp.array([1.0, 0.0, 0.0])), labels)
    assert float(better[1].sum()) < float(terms[1].sum())


@every
def test_a_step_keeps_shapes_and_goes_downhill_in_one_program(name, options):
    recipe, traces = RECIPES[name](**options), []
    start = recipe.decode(recipe.encode(params()))
    gradients = jax.tree.map(lambda leaf: jnp.where(leaf == 0, 1.0, jnp.sign(leaf)) * 10.0, start)

    @jax.jit
    def step(gradients, state, params, rate, precision):
        traces.append(None)
        key = jax.random.key(0)
        return recipe.optimizer.update(
            gradients, state, params, key=key, learning_rate=rate, precision=precision, examples=jnp.float32(2)
        )

    state = recipe.optimizer.init(start)
    for rate, bits in ((recipe.learning_rates[0], 8), (recipe.learning_rates[-1], 2)):
        updates, new_state = step(gradients, state, start, jnp.float32(rate), Precision(*(jnp.int32(bits),) * 3))
        moved = optax.apply_updates(start, updates)
        assert shapes(moved) == shapes(start)
        assert shapes(new_state) == shapes(state)
        equal(recipe.decode(recipe.encode(moved)), moved)  # the step ends on the grid that travels
        if bits == 8:
            assert all(np.all(u * g <= 0) for u, g in zip(*map(jax.tree.leaves, (updates, gradients)), strict=True))
            assert any(np.any(u) for u in jax.tree.leaves(updates))
    assert len(traces) == 1


@every
def test_no_gradient_no_step(name, options):
    recipe = RECIPES[name](**options)
    start = recipe.decode(recipe.encode(jax.tree.map(lambda leaf: leaf / 2, params())))
    updates, _ = recipe.optimizer.update(
        jax.tree.map(jnp.zeros_like, start),
        recipe.optimizer.init(start),
        start,
        key=jax.random.key(0),
        learning_rate=jnp.float32(recipe.learning_rates[0]),
        precision=PRECISION,
        examples=jnp.float32(1),
    )
    equal(updates, jax.tree.map(jnp.zeros_like, start))


def run_layer(recipe, images, traces, noise=None):
    """One jitted convolution in a recipe's arithmetic: bits -> output, and the gradient of its sum at the weights."""
    numerics = recipe.numerics if noise is None else recipe.numerics.with_noise(noise)
    layer, kernel = QuantConv(3, numerics=numerics), jnp.asarray(np.linspace(-0.7, 0.7, 54).reshape(3, 3, 2, 3))

    @jax.jit
    def run(precision):
        traces.append(None)
        rngs = {name: jax.random.key(0) for name in ("error", "noise")}
        apply = lambda kernel: layer.apply({"params": {"kernel": kernel}}, images, precision, rngs=rngs)  # noqa: E731
        y, pull = jax.vjp(apply, kernel)
        return y, pull(y)[0]

    return lambda bits: run(Precision(*(jnp.int32(bits),) * 3))


IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 4, 2)), jnp.float32)


@every
def test_bits_of_layers_are_data_and_count_where_precision_is_low(name, options):
    recipe, traces = RECIPES[name](**options), []
    run = run_layer(recipe, IMAGES, traces)
    found = [np.asarray(run(bits)[0]) for bits in (8, 4, 2)]
    assert len(traces) == 1
    assert all(np.isfinite(y).all() and y.any() for y in found)
    assert len({y.tobytes() for y in found}) == (3 if recipe.low_precision else 1)


@every
def test_an_example_does_not_depend_on_its_batch(name, options):
    recipe = RECIPES[name](**options)
    together, others = (
        run_layer(recipe, images, [])(4)[0] for images in (IMAGES, IMAGES * jnp.array([16.0, 1, 0]).reshape(3, 1, 1, 1))
    )
    equal(together[1], others[1])


@every
def test_crossbars_are_noisy_where_there_are_any(name, options):
    recipe, noise = RECIPES[name](**options), Noise(weights=0.3, errors=0.3)
    clean, noisy = run_layer(recipe, IMAGES, [])(8), run_layer(recipe, IMAGES, [], noise)(8)
    for a, b in zip(clean, noisy, strict=True):
        assert np.array_equal(a, b) != recipe.crossbars
    assert recipe.crossbars == (recipe.numerics.with_noise(noise) != recipe.numerics)

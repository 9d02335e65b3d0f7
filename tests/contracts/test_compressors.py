"""The contract of every entry of COMPRESSORS: a model goes in, a model comes out, the bits on the wire are counted."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax import config
from halo_jax.compressors import COMPRESSORS, Compressor
from halo_jax.types import Precision

CASES = [
    ("identity", {}),
    ("uniform", {"rounding": "stochastic", "bits": 0}),
    ("uniform", {"rounding": "nearest", "bits": 3}),
]
every = pytest.mark.parametrize(("name", "options"), CASES)
MODELS = {"int8": 8, "int16": 12, "float32": 32}
kinds = pytest.mark.parametrize("kind", MODELS)
WEIGHTS = 15 * 6 + 7


def model_of(kind, seed=0):
    """Two tensors of what travels: whole-number masters or floats."""
    rng = np.random.default_rng(seed)
    top = 2 ** (MODELS[kind] - 1) if kind != "float32" else 0
    draw = (lambda s: rng.integers(1 - top, top, s)) if top else (lambda s: rng.normal(size=s) / 7)
    return {"a": jnp.asarray(draw((15, 6)), kind), "b": {"kernel": jnp.asarray(draw(7), kind)}}


def bits_of(bits):
    return Precision(*(jnp.int32(bits),) * 3)


def round_trip(compressor, model, reference, precision, key):
    message, state, bits = compressor.compress(model, reference, compressor.init(model), precision=precision, key=key)
    return compressor.decompress(message, reference), state, bits


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_every_compressor_has_its_cases_and_options_are_config_fields():
    assert {name for name, _ in CASES} == set(COMPRESSORS)
    for make in COMPRESSORS.values():
        options = set(inspect.signature(make).parameters) - {"model_bits"}
        assert {f"compressor.{option}" for option in options} <= config.FIELDS.keys()


@every
@kinds
def test_a_model_comes_out_jitted_as_eager_and_one_program_serves_all_bits(name, options, kind):
    compressor, traces = COMPRESSORS[name](model_bits=MODELS[kind], **options), []
    assert isinstance(compressor, Compressor)
    model, reference, key = model_of(kind), model_of(kind, 1), jax.random.key(2)

    @jax.jit
    def jitted(*args):
        traces.append(None)
        return round_trip(compressor, *args)

    for bits in (4, 8):
        found, state, payload = jitted(model, reference, bits_of(bits), key)
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), found) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), model
        )
        assert jax.tree.structure(state) == jax.tree.structure(compressor.init(model))
        assert (payload.shape, payload.dtype) == ((), jnp.int32)
        assert 0 < int(payload) <= WEIGHTS * 32 + 64
    assert len(traces) == 1
    eager = round_trip(compressor, model, reference, bits_of(8), key)
    equal(eager, (found, state, payload))


@kinds
def test_identity_is_lossless_and_counts_the_masters_bits(kind):
    model = model_of(kind)
    compressor = COMPRESSORS["identity"](model_bits=MODELS[kind])
    found, _, payload = round_trip(compressor, model, model, bits_of(2), jax.random.key(0))
    equal(found, model)
    assert int(payload) == WEIGHTS * MODELS[kind]


@kinds
def test_uniform_counts_its_bits_and_a_scale_per_float_tensor(kind):
    scales = 64 if kind == "float32" else 0
    for bits in (0, 5):
        compressor = COMPRESSORS["uniform"](model_bits=MODELS[kind], bits=bits)
        for weight_bits in (2, 8):
            precision = bits_of(4)._replace(weights=jnp.int32(weight_bits))
            _, _, payload = round_trip(compressor, model_of(kind), model_of(kind), precision, jax.random.key(0))
            assert int(payload) == WEIGHTS * (bits or weight_bits) + scales


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
def test_uniform_at_the_masters_own_bits_is_lossless(rounding):
    model = {"a": jnp.arange(-127, 128, dtype=jnp.int8)}
    compressor = COMPRESSORS["uniform"](model_bits=8, rounding=rounding)
    equal(round_trip(compressor, model, model, bits_of(8), jax.random.key(0))[0], model)


def test_nearest_uniform_is_the_weight_quantiser():
    """n = round half to even of m / 2^(8 - b), clipped, and m is rebuilt as n 2^(8 - b)."""
    model = {"a": jnp.arange(-127, 128, dtype=jnp.int8)}
    compressor = COMPRESSORS["uniform"](model_bits=8, rounding="nearest")
    for bits in (2, 4, 7):
        step, top = 2 ** (8 - bits), 2 ** (bits - 1) - 1
        expected = np.clip(np.round(np.arange(-127, 128) / step), -top, top) * step
        equal(round_trip(compressor, model, model, bits_of(bits), jax.random.key(0))[0], {"a": expected})


@pytest.mark.parametrize("kind", ["int8", "float32"])
def test_stochastic_uniform_is_unbiased_away_from_the_clip(kind):
    draws, bits = 2000, 4
    model = {"a": jnp.asarray([100, -37, 5, -1, 0, 64, 90], kind)}
    if kind == "float32":
        model = {"a": jnp.append(model["a"] / 128, 2.0)}  # the largest value is clipped to 7/8 of itself
    compressor = COMPRESSORS["uniform"](model_bits=MODELS[kind])
    one = lambda key: round_trip(compressor, model, model, bits_of(bits), key)[0]["a"]  # noqa: E731
    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), draws)), np.float64)
    step = 16 if kind == "int8" else 0.25
    exact = np.asarray(model["a"], np.float64)[:7]
    assert np.abs(found[:, :7] - exact).max() < step
    np.testing.assert_allclose(found.mean(0)[:7], exact, atol=5 * step / 2 / draws**0.5)
    if kind == "float32":
        assert set(found[:, 7]) == {1.75}


def test_uniform_of_zeros_is_zeros():
    model = {"a": jnp.zeros(5)}
    compressor = COMPRESSORS["uniform"](model_bits=32)
    equal(round_trip(compressor, model, model, bits_of(2), jax.random.key(0))[0], model)

"""The contract of every entry of COMPRESSORS: an update goes in and comes out, and every bit on the wire is counted."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax import config
from halo_jax.compressors import COMPRESSORS, Compressor
from halo_jax.compressors.base import Context
from halo_jax.compressors.error_feedback import error_feedback
from halo_jax.compressors.wire import entropy_bits, pack, packed_bits, size, unpack
from halo_jax.types import Precision

MODELS = {"int8": 8, "int16": 12, "float32": 32}
kinds = pytest.mark.parametrize("kind", MODELS)
every = pytest.mark.parametrize("name", COMPRESSORS)
WEIGHTS = 15 * 6 + 7


def model_of(kind, seed=0):
    """Two tensors of what travels: whole-number masters or floats."""
    rng = np.random.default_rng(seed)
    top = 2 ** (MODELS[kind] - 1) if kind != "float32" else 0
    draw = (lambda s: rng.integers(1 - top, top, s)) if top else (lambda s: rng.normal(size=s) / 7)
    return {"a": jnp.asarray(draw((15, 6)), kind), "b": {"kernel": jnp.asarray(draw(7), kind)}}


def bits_of(bits):
    return Precision(*(jnp.int32(bits),) * 3)


def made(name, kind="float32", **options) -> Compressor:
    takes = inspect.signature(COMPRESSORS[name]).parameters
    return COMPRESSORS[name](**options, **({"model_bits": MODELS[kind]} if "model_bits" in takes else {}))


def context_of(compressor, x, precision=None, number=0):
    """What both ends know in the first round of client `number`."""
    held = jax.tree.map(jnp.zeros_like, x) if compressor.remembers else ()
    pooled = () if compressor.stats is None else compressor.stats(x)
    state = compressor.server.init(x)
    if compressor.server.broadcast is not None:
        plan = compressor.server.broadcast(x, state, jax.random.key(3)).plan
    else:
        plan = compressor.server.plan(state)
    shared = jax.random.fold_in(jax.random.key(1), number)
    precision = bits_of(8) if precision is None else precision
    return Context(jnp.int32(number), jnp.int32(0), precision, jnp.float32(1), shared, plan, pooled, held)


def upload(compressor, x, key, context):
    made = compressor.compress(x, compressor.init(x), context, key)
    like = jax.tree.map(jnp.zeros_like, x)  # the server knows shapes and dtypes
    return compressor.decompress(made.message, like, context), made


def round_trip(compressor, model, reference, precision, key):
    del reference
    found, sent = upload(compressor, model, key, context_of(compressor, model, precision))
    return found, sent.state, jnp.asarray(sent.nominal_bits)


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_parameters_are_config_fields_with_the_entrys_own_defaults():
    for name, make in COMPRESSORS.items():
        for option, parameter in inspect.signature(make).parameters.items():
            if option != "model_bits":
                assert config.all_fields()[f"compressor.{name}.{option}"].default == parameter.default


@every
def test_an_update_comes_out_and_all_its_bits_are_packed_and_counted(name):
    """Jitted like eager, lifted like one by one, one trace for all rounds, and the bytes hold the message."""
    compressor, traces = made(name), []
    x, keys = model_of("float32"), jax.random.split(jax.random.key(2), 2)
    contexts = [context_of(compressor, x, number=number) for number in (0, 1)]

    @jax.jit
    def jitted(x, key, context):
        traces.append(None)
        found, sent = upload(compressor, x, key, context)
        return found, sent, size(sent.message, sent.nominal_bits)

    answers = [jitted(x, key, context) for key, context in zip(keys, contexts, strict=True)]
    jitted(x, keys[0], contexts[0]._replace(precision=bits_of(3), round=jnp.int32(4), loss=jnp.float32(0.1)))
    assert len(traces) == 1
    stack = lambda trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)  # noqa: E731
    lifted = jax.jit(jax.vmap(lambda key, context: upload(compressor, x, key, context)))(keys, stack(contexts))
    alone = stack([answer[:2] for answer in answers])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6), lifted, alone)
    found, sent, weight = answers[0]
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), found) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), x
    )
    assert jax.tree.structure(sent.state) == jax.tree.structure(compressor.init(x))
    data = pack(sent.message)
    assert packed_bits(weight) == 8 * len(data)
    equal(unpack(data, jax.tree.map(jnp.asarray, sent.message)), sent.message)
    assert 0 < int(weight.nominal_bits) <= 40 * (WEIGHTS + 32)
    assert entropy_bits(weight) > 0


@every
def test_zeros_constants_and_single_elements_come_out_finite_and_zeros_as_zeros(name):
    compressor = made(name)
    jitted = jax.jit(lambda x: upload(compressor, x, jax.random.key(0), context_of(compressor, x)))
    for value in (0.0, 0.25):
        x = {"a": jnp.full((4, 3), value), "b": jnp.full(1, value)}
        found, sent = jitted(x)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((found, sent.state)))
        if value == 0 and name not in PRIVATE:
            equal(found, x)


@every
def test_a_client_that_diverged_is_seen_to_and_never_comes_out_as_numbers(name):
    """Of many elements a maximum may pass over a NaN, and a tensor of NaNs must not come out as zeros."""
    compressor = made(name)
    jitted = jax.jit(lambda x: upload(compressor, x, jax.random.key(0), context_of(compressor, x))[0])
    x = np.random.default_rng(0).normal(size=(1600, 50)).astype(np.float32)
    for wrong in (np.s_[801, 7], np.s_[:]):
        diverged = x.copy()
        diverged[wrong] = np.nan
        assert not np.isfinite(jitted({"a": diverged, "b": x[:1, :20]})["a"]).all()


@every
def test_a_memory_stays_small_or_is_refused(name):
    compressor = made(name)
    try:
        remembering = error_feedback(compressor)
    except ValueError:
        return
    x = {"a": np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)}
    context = context_of(compressor, x)
    step = jax.jit(lambda state, key: remembering.compress(x, state, context, key).state)
    state = remembering.init(x)
    for key in jax.random.split(jax.random.key(0), 30):
        state = step(state, key)
    assert np.linalg.norm(state[0]["a"]) < 5 * np.linalg.norm(x["a"])


PRIVATE = ("jopeq",)  # its noise is there to hide that nothing was sent


@kinds
def test_identity_is_lossless_and_counts_the_masters_bits(kind):
    model = model_of(kind)
    compressor = made("identity", kind)
    found, _, payload = round_trip(compressor, model, model, bits_of(2), jax.random.key(0))
    equal(found, model)
    assert int(payload) == WEIGHTS * MODELS[kind]


@kinds
def test_uniform_counts_its_bits_and_a_scale_per_float_tensor(kind):
    scales = 64 if kind == "float32" else 0
    for bits in (0, 5):
        compressor = made("uniform", kind, bits=bits)
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
    compressor = made("uniform", kind)
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

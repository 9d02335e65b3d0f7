"""FedHQ: clients of different bits, and weights that follow the error of their quantisers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.fedhq import expected_error, fedhq, worst_error
from halo_jax.compressors.fedhq_plus import fedhq_plus
from halo_jax.compressors.qsgd import decode, encode
from tests.compressors.context import CONTEXT

expected_error, worst_error = (jax.jit(error, static_argnums=-1) for error in (expected_error, worst_error))
DEFAULT = {fedhq: fedhq(), fedhq_plus: fedhq_plus()}
both = pytest.mark.parametrize("system", [fedhq, fedhq_plus])


def update(seed=0):
    rng = np.random.default_rng(seed)
    return {"a": rng.normal(size=(9, 7)).astype(np.float32), "b": rng.normal(size=5).astype(np.float32)}


def client(number, bits=8):
    precision = CONTEXT.precision._replace(weights=np.int32(bits))
    return CONTEXT._replace(client=np.int32(number), precision=precision)


@functools.partial(jax.jit, static_argnums=0)
def compress(compressor, x, context, key):
    made = compressor.compress(x, compressor.init(x), context, key)
    return made, compressor.decompress(made.message, x, context), wire.size(made.message, made.nominal_bits)


def errors_of(x, levels, draws):
    """||Q(x) - x||^2 / ||x||^2 of many roundings of one vector."""
    one = lambda key: jnp.sum((decode(encode([x], levels, "max", key, 127), levels)[0] - x) ** 2)  # noqa: E731
    found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), draws))
    return np.asarray(found, np.float64) / float(np.sum(x**2))


@pytest.mark.parametrize("levels", [1, 7, 127])
def test_the_expected_error_is_that_of_many_roundings_and_below_the_constant(levels):
    x = update()["a"].reshape(-1)
    found = errors_of(x, levels, 2000)
    expected = float(expected_error([x], [np.max(np.abs(x))], levels))
    assert abs(found.mean() - expected) < 5 * found.std() / len(found) ** 0.5
    assert expected < float(worst_error([x], levels))


def test_several_tensors_count_by_their_own_scales():
    parts, levels = [update()["a"], np.float32(1e-3) * update(1)["a"], np.float32(30) * update(2)["a"]], 7
    each = [float(expected_error([part], [np.max(np.abs(part))], levels)) for part in parts]
    norms = [float(np.sum(part**2)) for part in parts]
    found = float(expected_error(parts, [np.max(np.abs(part)) for part in parts], levels))
    np.testing.assert_allclose(found, np.dot(each, norms) / sum(norms), rtol=1e-5)


@pytest.mark.parametrize(("levels", "number"), [(1, 2), (7, 50), (127, 5000)])
def test_the_constant_is_reached_and_not_passed(levels, number):
    """By a vector of one large element and many at the same share of a level."""
    constant = float(worst_error([np.zeros(2, np.float32), np.zeros(number, np.float32)], levels))
    np.testing.assert_allclose(constant, (np.sqrt(1 + (number - 1) / levels**2) - 1) / 2, rtol=1e-5)
    found = []
    for share in np.append(np.linspace(0.02, 1, 50), 0.5 / (1 + constant)):
        found.append(
            float(expected_error([np.float32([1] + [share / levels] * (number - 1))], [np.float32(1)], levels))
        )
    np.testing.assert_allclose(found[-1], constant, rtol=1e-4)
    assert max(found) < constant * (1 + 1e-4)


@both
def test_clients_of_equal_bits_and_updates_weigh_by_their_examples_alone(system):
    compressor, examples = system(client_bits=(4,)), np.float32([100, 100, 300])
    states = np.stack([compress(compressor, update(), client(i), jax.random.key(i))[0].state for i in range(3)])
    weights = jax.jit(compressor.server.weigh)(examples, states)
    np.testing.assert_allclose(weights / weights.sum(), [0.2, 0.2, 0.6], rtol=1e-6)


def test_coarse_clients_weigh_less_by_the_ratio_of_the_constants():
    compressor = fedhq(client_bits=(4, 8))
    states = np.stack([compress(compressor, update(), client(i), jax.random.key(i))[0].state for i in range(2)])
    weights = np.asarray(jax.jit(compressor.server.weigh)(np.ones(2, np.float32), states))
    coarse, fine = ((np.sqrt(1 + 62 / s**2) - 1) / 2 for s in (7, 127))
    np.testing.assert_allclose(weights[0] / weights[1], (1 + fine) / (1 + coarse), rtol=1e-5)
    assert weights[0] < 0.9 * weights[1]


def test_plus_reports_the_error_of_its_own_update():
    compressor, x = fedhq_plus(client_bits=(3,)), update()
    made, _, _ = compress(compressor, x, client(0), jax.random.key(0))
    expected = expected_error([x["a"], x["b"]], [np.max(np.abs(part)) for part in x.values()], 3)
    np.testing.assert_array_equal(made.state, expected)
    np.testing.assert_array_equal(made.message[2], [made.state])
    assert compress(fedhq(client_bits=(3,)), x, client(0), jax.random.key(0))[0].state > made.state


@both
def test_clients_take_turns_in_the_bits_or_take_those_of_their_weights(system):
    extra = 32 if system is fedhq_plus else 0
    turns = system(client_bits=(2, 5, 8))
    for number, bits in enumerate((2, 5, 8, 2)):
        made, _, weight = compress(turns, update(), client(number, bits=3), jax.random.key(0))
        assert int(made.nominal_bits) == 2 * 32 + 68 * bits + extra
        assert int(weight.fixed_bits) == int(made.nominal_bits)
    made, _, _ = compress(system(client_bits=()), update(), client(1, bits=6), jax.random.key(0))
    assert int(made.nominal_bits) == 2 * 32 + 68 * 6 + extra


@both
def test_one_program_serves_all_clients_and_its_messages_travel_bit_for_bit(system):
    compressor, traces = system(client_bits=(2, 8)), []

    @jax.jit
    def round_trip(context):
        traces.append(None)
        made = compressor.compress(update(), (), context, jax.random.key(0))
        found = compressor.decompress(made.message, update(), context)
        return made, found, wire.size(made.message, made.nominal_bits)

    for number, levels in enumerate((1, 127)):
        made, found, weight = round_trip(client(number))
        data = wire.pack(made.message)
        jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
        assert wire.packed_bits(weight) == 8 * len(data)
        for name, part in update().items():
            assert np.abs(found[name] - part).max() < np.abs(part).max() / levels * (1 + 1e-5)
    assert len(traces) == 1


@both
@pytest.mark.parametrize("x", [np.zeros(6), np.full(6, -0.25), np.array([7.5]), np.full(6, 1e-30)])
def test_zeros_constants_and_single_elements_have_no_error(system, x):
    x = np.float32(x)
    made, found, _ = compress(DEFAULT[system], [x], client(0), jax.random.key(0))
    np.testing.assert_allclose(found[0], x, rtol=1e-6)
    assert np.isfinite(made.state)
    if system is fedhq_plus:
        assert made.state == 0


@both
@pytest.mark.parametrize("bits", [(1,), (4, 9)])
def test_impossible_bits_are_named(system, bits):
    with pytest.raises(ValueError, match=f"^{system.__name__}: client_bits=.*; allowed: numbers of 2 to 8, or none$"):
        system(client_bits=bits)


@both
@pytest.mark.parametrize(("bits", "differ"), [((4, 8), True), ((4, 4), False), ((8,), False), ((), True)])
def test_it_says_whether_clients_have_bits_of_their_own(system, bits, differ):
    assert system(client_bits=bits).client_bits is differ

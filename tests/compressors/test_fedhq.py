"""FedHQ: clients of different bits, and weights that follow the error of their quantisers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.base import Context
from halo_jax.compressors.fedhq import expected_error, fedhq, worst_error
from halo_jax.compressors.fedhq_plus import fedhq_plus
from halo_jax.compressors.qsgd import decode, encode
from halo_jax.types import Precision

CONTEXT = Context(
    client=jnp.int32(0),
    round=jnp.int32(0),
    precision=Precision(*(jnp.int32(8),) * 3),
    loss=jnp.float32(1),
    shared=jax.random.key(1),
)

both = pytest.mark.parametrize("system", [fedhq, fedhq_plus])


def update(seed=0):
    rng = np.random.default_rng(seed)
    return {"a": jnp.asarray(rng.normal(size=(9, 7)), jnp.float32), "b": jnp.asarray(rng.normal(size=5), jnp.float32)}


def client(number, bits=8):
    precision = CONTEXT.precision._replace(weights=jnp.int32(bits))
    return CONTEXT._replace(client=jnp.int32(number), precision=precision)


def errors_of(x, levels, draws):
    """||Q(x) - x||^2 / ||x||^2 of many roundings of one vector."""
    one = lambda key: jnp.sum((decode(encode([x], levels, "max", key, 127), levels)[0] - x) ** 2)  # noqa: E731
    found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), draws))
    return np.asarray(found, np.float64) / float(jnp.sum(x**2))


@pytest.mark.parametrize("levels", [1, 7, 127])
def test_the_expected_error_is_that_of_many_roundings_and_below_the_constant(levels):
    x = update()["a"].reshape(-1)
    found = errors_of(x, levels, 2000)
    expected = float(expected_error([x], [jnp.max(jnp.abs(x))], levels))
    assert abs(found.mean() - expected) < 5 * found.std() / len(found) ** 0.5
    assert expected < float(worst_error([x], levels))


def test_several_tensors_count_by_their_own_scales():
    parts, levels = [update()["a"], 1e-3 * update(1)["a"], 30 * update(2)["a"]], 7
    each = [float(expected_error([part], [jnp.max(jnp.abs(part))], levels)) for part in parts]
    norms = [float(jnp.sum(part**2)) for part in parts]
    found = float(expected_error(parts, [jnp.max(jnp.abs(part)) for part in parts], levels))
    np.testing.assert_allclose(found, np.dot(each, norms) / sum(norms), rtol=1e-5)


@pytest.mark.parametrize(("levels", "number"), [(1, 2), (7, 50), (127, 5000)])
def test_the_constant_is_reached_and_not_passed(levels, number):
    """By a vector of one large element and many at the same share of a level."""
    constant = float(worst_error([jnp.zeros(2), jnp.zeros(number)], levels))
    np.testing.assert_allclose(constant, (np.sqrt(1 + (number - 1) / levels**2) - 1) / 2, rtol=1e-5)
    found = []
    error = jax.jit(lambda x: expected_error([x], [jnp.float32(1)], levels))
    for share in np.append(np.linspace(0.02, 1, 50), 0.5 / (1 + constant)):
        found.append(float(error(np.array([1.0] + [share / levels] * (number - 1), np.float32))))
    np.testing.assert_allclose(found[-1], constant, rtol=1e-4)
    assert max(found) < constant * (1 + 1e-4)


@both
def test_clients_of_equal_bits_and_updates_weigh_by_their_examples_alone(system):
    compressor, examples = system(client_bits=(4,)), jnp.array([100.0, 100.0, 300.0])
    states = jnp.stack(
        [compressor.compress(update(), compressor.init(update()), client(i), jax.random.key(i)).state for i in range(3)]
    )
    weights = compressor.server.weigh(examples, states)
    np.testing.assert_allclose(weights / weights.sum(), [0.2, 0.2, 0.6], rtol=1e-6)


def test_coarse_clients_weigh_less_by_the_ratio_of_the_constants():
    compressor = fedhq(client_bits=(4, 8))
    states = jnp.stack([compressor.compress(update(), (), client(i), jax.random.key(i)).state for i in range(2)])
    weights = compressor.server.weigh(jnp.ones(2), states)
    coarse, fine = ((np.sqrt(1 + 62 / s**2) - 1) / 2 for s in (7, 127))
    np.testing.assert_allclose(weights[0] / weights[1], (1 + fine) / (1 + coarse), rtol=1e-5)
    assert weights[0] < 0.9 * weights[1]


def test_plus_reports_the_error_of_its_own_update():
    compressor, x = fedhq_plus(client_bits=(3,)), update()
    made = compressor.compress(x, (), client(0), jax.random.key(0))
    expected = expected_error([x["a"], x["b"]], [jnp.max(jnp.abs(part)) for part in x.values()], 3)
    np.testing.assert_array_equal(made.state, expected)
    np.testing.assert_array_equal(made.message[2], [made.state])
    assert fedhq(client_bits=(3,)).compress(x, (), client(0), jax.random.key(0)).state > made.state


@both
def test_clients_take_turns_in_the_bits_or_take_those_of_their_weights(system):
    extra = 32 if system is fedhq_plus else 0
    step = lambda compressor, context: compressor.compress(update(), (), context, jax.random.key(0))  # noqa: E731
    for number, bits in enumerate((2, 5, 8, 2)):
        made = step(system(client_bits=(2, 5, 8)), client(number, bits=3))
        assert int(made.nominal_bits) == 2 * 32 + 68 * bits + extra
        assert int(wire.size(made.message, 0).fixed_bits) == int(made.nominal_bits)
    assert int(step(system(client_bits=()), client(1, bits=6)).nominal_bits) == 2 * 32 + 68 * 6 + extra


@both
def test_one_program_serves_all_clients_and_its_messages_travel_bit_for_bit(system):
    compressor, traces = system(client_bits=(2, 8)), []

    @jax.jit
    def round_trip(context):
        traces.append(None)
        made = compressor.compress(update(), (), context, jax.random.key(0))
        return made, compressor.decompress(made.message, update(), context)

    for number, levels in enumerate((1, 127)):
        made, found = round_trip(client(number))
        data = wire.pack(made.message)
        jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
        assert wire.packed_bits(wire.size(made.message, made.nominal_bits)) == 8 * len(data)
        for name, part in update().items():
            assert jnp.abs(found[name] - part).max() < jnp.abs(part).max() / levels * (1 + 1e-5)
    assert len(traces) == 1


@both
@pytest.mark.parametrize("x", [jnp.zeros(6), jnp.full(6, -0.25), jnp.array([7.5]), jnp.full(6, 1e-30)])
def test_zeros_constants_and_single_elements_have_no_error(system, x):
    compressor = system()
    made = compressor.compress([x], compressor.init([x]), client(0), jax.random.key(0))
    np.testing.assert_allclose(compressor.decompress(made.message, [x], client(0))[0], x, rtol=1e-6)
    assert np.isfinite(made.state)
    if system is fedhq_plus:
        assert made.state == 0


@both
@pytest.mark.parametrize("bits", [(1,), (4, 9)])
def test_impossible_bits_are_named(system, bits):
    with pytest.raises(ValueError, match=f"^{system.__name__}: client_bits=.*; allowed: numbers of 2 to 8, or none$"):
        system(client_bits=bits)

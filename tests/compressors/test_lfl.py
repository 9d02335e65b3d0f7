"""LFL: unbiased levels between m and M, errors that clients keep, and one estimate of the model at both ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.base import Context, rebuild
from halo_jax.compressors.lfl import decode, encode, lfl
from halo_jax.types import Precision

CONTEXT = Context(
    client=jnp.int32(0),
    round=jnp.int32(0),
    precision=Precision(*(jnp.int32(8),) * 3),
    loss=jnp.float32(1),
    shared=jax.random.key(1),
)


def update(seed=0):
    rng = np.random.default_rng(seed)
    return {"a": jnp.asarray(rng.normal(size=(9, 7)), jnp.float32), "b": jnp.asarray(rng.normal(size=5), jnp.float32)}


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def travel(message, nominal=0):
    """The message as the other end reads it."""
    data = wire.pack(message)
    assert wire.packed_bits(wire.size(message, nominal)) == 8 * len(data)
    return jax.tree.map(jnp.asarray, wire.unpack(data, message))


@pytest.mark.parametrize("levels", [1, 2, 7])
def test_the_mean_of_many_messages_is_the_vector_and_each_is_on_a_neighbouring_level(levels):
    draws, x = 4000, jnp.array([-3.0, -1.25, -0.5, 0.7, 1.0, 2.2, 0.9])
    one = lambda key: decode(encode([x], levels, key), levels)[0]  # noqa: E731
    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), draws)), np.float64)
    step = 2.5 / levels
    assert np.abs(found - x).max() < step * (1 + 1e-6)
    np.testing.assert_allclose((np.abs(found) - 0.5) / step, np.round((np.abs(found) - 0.5) / step), atol=1e-5)
    assert (np.sign(found) == np.sign(x)).all()
    error = found.std(0) / draws**0.5
    assert (np.abs(found.mean(0) - x) < 5 * error + 1e-6).all()


def test_smallest_and_largest_elements_are_exact():
    x = jnp.array([-0.25, 0.3, -4.0, 0.25, 4.0, 1.0])
    found = decode(encode([x], 2, jax.random.key(0)), 2)[0]
    equal(found[jnp.array([0, 2, 3, 4])], x[jnp.array([0, 2, 3, 4])])


@pytest.mark.parametrize("x", [jnp.zeros(6), jnp.full(6, -0.3), jnp.array([7.5]), jnp.array([-1e-30])])
def test_zeros_constants_and_single_elements_come_back_exactly(x):
    compressor = lfl()
    made = compressor.compress([x], compressor.init([x]), CONTEXT, jax.random.key(0))
    equal(compressor.decompress(made.message, [x], CONTEXT), [x])
    equal(made.state.error, [jnp.zeros_like(x)])


def test_what_is_sent_and_what_is_kept_add_up_to_all_updates():
    compressor, rounds = lfl(), 6
    state, sent = compressor.init(update()), jax.tree.map(jnp.zeros_like, update())
    for i in range(rounds):
        made = compressor.compress(update(i), state, CONTEXT._replace(round=jnp.int32(i)), jax.random.key(i))
        sent = jax.tree.map(jnp.add, sent, compressor.decompress(made.message, update(), CONTEXT))
        state = made.state
    total = jax.tree.map(lambda *each: sum(each), *(update(i) for i in range(rounds)))
    assert max(jnp.abs(leaf).max() for leaf in jax.tree.leaves(state.error)) > 0.1
    jax.tree.map(
        lambda *each: np.testing.assert_allclose(each[0] + each[1], each[2], atol=1e-5), sent, state.error, total
    )


def test_server_and_clients_hold_the_same_estimate_and_descend_a_quadratic():
    """Two clients pull towards targets of their own; the mean of these is where the model belongs."""
    compressor, targets = lfl(levels=7, down_levels=7), [update(1), update(2)]
    model = estimate = jax.tree.map(jnp.zeros_like, update())
    optimum = jax.tree.map(lambda one, two: (one + two) / 2, *targets)
    away = lambda: sum(jnp.sum((m - o) ** 2) for m, o in zip(model.values(), optimum.values(), strict=True))  # noqa: E731
    server, states, at_first = compressor.server.init(model), [compressor.init(model)] * 2, away()
    for i in range(5):
        down = compressor.server.broadcast(model, server, jax.random.key(100 + i))
        server = down.state
        change = rebuild(decode(travel(down.message, down.nominal_bits), 7), model, "flat")
        estimate = jax.tree.map(jnp.add, estimate, change)
        equal(estimate, server)
        equal(estimate, down.weights)
        sent, context = [], CONTEXT._replace(round=jnp.int32(i))
        for c, target in enumerate(targets):
            x = jax.tree.map(lambda goal, at: 0.5 * (goal - at), target, estimate)
            made = compressor.compress(x, states[c], context, jax.random.key(10 * i + c))
            states[c] = made.state
            sent.append(compressor.decompress(travel(made.message), model, context))
        model = jax.tree.map(lambda at, one, two: at + (one + two) / 2, estimate, *sent)
    assert away() < 0.1 * at_first


def test_the_first_broadcast_is_silent_and_the_whole_model_goes_to_those_who_missed_a_round():
    compressor = lfl()
    down = compressor.server.broadcast(update(), compressor.server.init(update()), jax.random.key(0))
    equal(down.weights, update())
    equal(down.message[0].values, [jnp.zeros(68, jnp.int32)])
    state, found = compressor.init(update()), []
    for i in (0, 1, 2, 4, 5):
        made = compressor.compress(update(), state, CONTEXT._replace(round=jnp.int32(i)), jax.random.key(0))
        state = made.state
        found.append(bool(made.whole_down))
    assert found == [True, False, False, True, False]


@pytest.mark.parametrize(
    ("levels", "scope", "nominal", "coding"),
    [(2, "flat", 64 + 68 * 3, "radix"), (2, "tensor", 128 + 68 * 3, "radix"), (3, "flat", 64 + 68 * 3, "fixed")],
)
def test_messages_travel_bit_for_bit_and_are_counted(levels, scope, nominal, coding):
    compressor = lfl(levels=levels, scope=scope)
    made = jax.jit(compressor.compress)(update(), compressor.init(update()), CONTEXT, jax.random.key(0))
    equal(travel(made.message, made.nominal_bits), made.message)
    assert int(made.nominal_bits) == nominal
    assert made.message[0].coding == coding


def test_a_single_code_is_not_grouped():
    assert encode([jnp.ones(1)], 2, jax.random.key(0))[0].coding == "fixed"


@pytest.mark.parametrize("options", [{"levels": 0}, {"down_levels": 256}, {"levels": -1}])
def test_impossible_levels_are_named(options):
    ((option, value),) = options.items()
    with pytest.raises(ValueError, match=f"^lfl: {option}={value}; allowed: 1 to 255$"):
        lfl(**options)

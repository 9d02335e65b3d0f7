"""LFL: unbiased levels between m and M, errors that clients keep, and one estimate of the model at both ends."""

import functools

import jax
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.base import rebuild
from halo_jax.compressors.lfl import decode, encode, lfl
from tests.compressors.context import CONTEXT


def update(seed=0):
    rng = np.random.default_rng(seed)
    return {"a": rng.normal(size=(9, 7)).astype(np.float32), "b": rng.normal(size=5).astype(np.float32)}


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def travel(message, nominal=0):
    """The message as the other end reads it."""
    data = wire.pack(message)
    assert wire.packed_bits(jax.jit(lambda: wire.size(message, nominal))()) == 8 * len(data)
    return wire.unpack(data, message)


DEFAULT = lfl()


@functools.partial(jax.jit, static_argnums=0)
def start(compressor, x):
    return compressor.init(x)


@functools.partial(jax.jit, static_argnums=0)
def send(compressor, x, state, context, key):
    made = compressor.compress(x, state, context, key)
    return compressor.decompress(made.message, x, context), made


@pytest.mark.parametrize("levels", [1, 2, 7])
def test_the_mean_of_many_messages_is_the_vector_and_each_is_on_a_neighbouring_level(levels):
    draws, x = 4000, np.float32([-3.0, -1.25, -0.5, 0.7, 1.0, 2.2, 0.9])
    one = lambda key: decode(encode([x], levels, key), levels)[0]  # noqa: E731
    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), draws)), np.float64)
    step = 2.5 / levels
    assert np.abs(found - x).max() < step * (1 + 1e-6)
    np.testing.assert_allclose((np.abs(found) - 0.5) / step, np.round((np.abs(found) - 0.5) / step), atol=1e-5)
    assert (np.sign(found) == np.sign(x)).all()
    error = found.std(0) / draws**0.5
    assert (np.abs(found.mean(0) - x) < 5 * error + 1e-6).all()


def test_smallest_and_largest_elements_are_exact():
    x = np.float32([-0.25, 0.3, -4.0, 0.25, 4.0, 1.0])
    found = jax.jit(lambda x: decode(encode([x], 2, jax.random.key(0)), 2)[0])(x)
    equal(np.asarray(found)[[0, 2, 3, 4]], x[[0, 2, 3, 4]])


@pytest.mark.parametrize("x", [np.zeros(6), np.full(6, -0.3), np.array([7.5]), np.array([-1e-30])])
def test_zeros_constants_and_single_elements_come_back_exactly(x):
    x = np.float32(x)
    found, made = send(DEFAULT, [x], start(DEFAULT, [x]), CONTEXT, jax.random.key(0))
    equal(found, [x])
    equal(made.state.error, [np.zeros_like(x)])


def test_what_is_sent_and_what_is_kept_add_up_to_all_updates():
    rounds = 6
    state, sent = start(DEFAULT, update()), jax.tree.map(np.zeros_like, update())
    for i in range(rounds):
        context = CONTEXT._replace(round=np.int32(i))
        found, made = send(DEFAULT, update(i), state, context, jax.random.key(i))
        sent = jax.tree.map(np.add, sent, found)
        state = made.state
    total = jax.tree.map(lambda *each: sum(each), *(update(i) for i in range(rounds)))
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(state.error)) > 0.1
    jax.tree.map(
        lambda *each: np.testing.assert_allclose(each[0] + each[1], each[2], atol=1e-5), sent, state.error, total
    )


def test_server_and_clients_hold_the_same_estimate_and_descend_a_quadratic():
    """Two clients pull towards targets of their own; the mean of these is where the model belongs."""
    compressor, targets = lfl(levels=7, down_levels=7), [update(1), update(2)]
    model = estimate = jax.tree.map(np.zeros_like, update())
    optimum = jax.tree.map(lambda one, two: (one + two) / 2, *targets)
    away = lambda: sum(np.sum((m - o) ** 2) for m, o in zip(model.values(), optimum.values(), strict=True))  # noqa: E731
    server, states, at_first = compressor.server.init(model), [start(compressor, model)] * 2, away()
    decompress = jax.jit(compressor.decompress)
    broadcast = jax.jit(compressor.server.broadcast)
    rebuilt = jax.jit(lambda message: rebuild(decode(message, 7), model, "flat"))
    for i in range(5):
        down = broadcast(model, server, jax.random.key(100 + i))
        server = down.state
        change = rebuilt(travel(down.message, down.nominal_bits))
        estimate = jax.tree.map(np.add, estimate, change)
        equal(estimate, server)
        equal(estimate, down.weights)
        sent, context = [], CONTEXT._replace(round=np.int32(i))
        for c, target in enumerate(targets):
            x = jax.tree.map(lambda goal, at: np.float32(0.5) * (goal - at), target, estimate)
            _, made = send(compressor, x, states[c], context, jax.random.key(10 * i + c))
            states[c] = made.state
            sent.append(decompress(travel(made.message), model, context))
        model = jax.tree.map(lambda at, one, two: at + (one + two) / 2, estimate, *sent)
    assert away() < 0.1 * at_first


def test_the_first_broadcast_is_silent_and_the_whole_model_goes_to_those_who_missed_a_round():
    compressor = lfl(model_bits=8)
    server = compressor.server
    down = jax.jit(lambda x: server.broadcast(x, server.init(x), jax.random.key(0)))(update())
    equal(down.weights, update())
    equal(down.message[0].values, [np.zeros(68, np.int32)])
    state, found = start(compressor, update()), []
    for i in (0, 1, 2, 4, 5):
        _, made = send(compressor, update(), state, CONTEXT._replace(round=np.int32(i)), jax.random.key(0))
        state = made.state
        found.append(int(made.whole_down_bits))
    assert found == [8 * 68, 0, 0, 32 * 68, 0]


@pytest.mark.parametrize(
    ("levels", "scope", "nominal", "coding"),
    [(2, "flat", 64 + 176, "radix"), (2, "tensor", 128 + 176, "radix"), (3, "flat", 64 + 68 * 3, "fixed")],
)
def test_messages_travel_bit_for_bit_and_are_counted(levels, scope, nominal, coding):
    compressor = lfl(levels=levels, scope=scope)
    _, made = send(compressor, update(), start(compressor, update()), CONTEXT, jax.random.key(0))
    equal(travel(made.message, made.nominal_bits), made.message)
    assert int(made.nominal_bits) == nominal
    assert made.message[0].coding == coding


def test_a_single_code_is_not_grouped():
    assert (
        jax.eval_shape(lambda x, key: encode([x], 2, key), np.ones(1, np.float32), jax.random.key(0))[0].coding
        == "fixed"
    )


@pytest.mark.parametrize("options", [{"levels": 1}, {"down_levels": 0}, {"down_levels": 256}, {"levels": -1}])
def test_impossible_levels_are_named(options):
    ((option, value),) = options.items()
    with pytest.raises(ValueError, match=f"^lfl: {option}={value}; allowed: {1 + (option == 'levels')} to 255$"):
        lfl(**options)

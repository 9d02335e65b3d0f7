"""LAQ: what the server holds is within half a step of the update, and clients skip what would change little."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.laq import laq
from tests.compressors.context import CONTEXT

DEFAULT = laq()


def update(seed=0):
    rng = np.random.default_rng(seed)
    return {"a": rng.normal(size=(9, 7)).astype(np.float32), "b": rng.normal(size=5).astype(np.float32)}


def nothing():
    return jax.tree.map(np.zeros_like, update())


@functools.partial(jax.jit, static_argnums=0)
def send(compressor, x, state, held, plan=0.0):
    """(what the server then holds, the upload)"""
    context = CONTEXT._replace(last_received=held, plan=plan)
    made = compressor.compress(x, state, context, jax.random.key(0))
    new = compressor.decompress(made.message, x, context)
    return jax.tree.map(lambda new, old: jnp.where(made.sent, new, old), new, held), made


def uploads_of(compressor, xs, plan=0.0):
    """Which of a client's messages travel."""
    state, held, found = compressor.init(xs[0]), jax.tree.map(np.zeros_like, xs[0]), []
    for x in xs:
        held, made = send(compressor, x, state, held, plan)
        state = made.state
        found.append(bool(made.sent))
    return found


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_what_is_held_is_within_half_a_step_of_the_update(bits):
    compressor = laq(bits=bits)
    for held in (nothing(), update(7)):
        new, made = send(compressor, update(), compressor.init(update()), held)
        radius = max(float(np.abs(update()[name] - held[name]).max()) for name in held)
        np.testing.assert_allclose(made.message[1], radius)
        error = max(float(np.abs(new[name] - update()[name]).max()) for name in held)
        assert 0.5 * radius / (2**bits - 1) < error <= radius / (2**bits - 1) * (1 + 1e-5)
        squares = sum(float(np.sum((new[name] - update()[name]) ** 2)) for name in held)
        np.testing.assert_allclose(made.state.error, squares, rtol=1e-4)


def test_the_rule_compares_the_step_with_the_models_moves_and_both_errors():
    """g - h = (1, 0.2): with one bit Q - h = (1, 1), ||Q - h||^2 = 2 and ||Q - g||^2 = 0.64."""
    compressor, x, held = laq(bits=1), np.float32([3, 0.2]), np.float32([2, 0])
    for before, plan, sent in ((0.0, 0.09, False), (0.0, 0.07, True), (0.02, 0.07, False), (0.02, 0.0, True)):
        state = compressor.init(x)._replace(error=np.float32(before), skips=np.int32(5))
        new, made = send(compressor, x, state, held, plan)
        assert bool(made.sent) == sent
        np.testing.assert_array_equal(new, [3.0, 1.0] if sent else held)
        np.testing.assert_allclose(made.state.error, 0.64 if sent else before, rtol=1e-5)
        assert int(made.state.skips) == (0 if sent else 6)


def test_without_slack_and_errors_nothing_that_changed_is_skipped():
    """With one bit and elements of +-R, every message is exact."""
    signs = np.float32([1, -1, -1, 1])
    exact = [signs * np.float32(step) for step in (1, 3, 2, -2, -1, 7)]
    assert uploads_of(laq(bits=1, slack=0.0), exact) == [True] * 6
    assert uploads_of(laq(bits=1, slack=0.0), [signs, signs]) == [True, False]


def test_without_skips_every_message_travels():
    assert uploads_of(laq(max_skips=0), [update()] * 4, plan=1e9) == [True] * 4


def test_an_update_that_does_not_change_is_skipped_until_the_limit():
    assert uploads_of(laq(max_skips=3), [update()] * 10) == [True, False, False, False] * 2 + [True, False]


def test_the_first_message_travels_whatever_the_model_did():
    assert uploads_of(laq(), [update()] * 3, plan=1e9) == [True, False, False]


@pytest.mark.parametrize("slack", [0.0, 1.0, 2.5])
def test_the_threshold_is_a_weighted_sum_of_the_last_ten_moves(slack):
    server = laq(slack=slack).server
    state, moves, observe, plan = server.init(update()), [], jax.jit(server.observe), jax.jit(server.plan)
    assert plan(state) == 0
    for i in range(13):
        moves.append(sum(float(np.sum(leaf**2)) for leaf in update(i).values()))
        state = observe(state, update(i), np.float32(1))
        np.testing.assert_allclose(plan(state), slack * 0.08 * sum(moves[-10:]), rtol=1e-5)


def test_the_running_sum_of_innovations_is_what_is_held_of_all_and_descends_a_quadratic():
    compressor, targets = laq(slack=0.5), [update(i) for i in range(3)]
    model = total = nothing()
    optimum = jax.tree.map(lambda *each: sum(each) / 3, *targets)
    states, helds = [compressor.init(model)] * 3, [nothing()] * 3
    server, uploads = compressor.server.init(model), 0
    observe, plan_of = jax.jit(compressor.server.observe), jax.jit(compressor.server.plan)
    for _ in range(15):
        plan = plan_of(server)
        for c, target in enumerate(targets):
            x = jax.tree.map(lambda goal, at: np.float32(0.5) * (goal - at), target, model)
            new, made = jax.device_get(send(compressor, x, states[c], helds[c], plan))
            total = jax.tree.map(lambda t, now, old: t + now - old, total, new, helds[c])
            states[c], helds[c] = made.state, new
            uploads += int(made.sent)
        held = jax.tree.map(lambda *each: sum(each), *helds)
        jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5), total, held)
        change = jax.tree.map(lambda leaf: leaf / np.float32(3), held)
        model = jax.tree.map(np.add, model, change)
        server = observe(server, change, np.float32(1))
    away = sum(float(np.sum((model[name] - optimum[name]) ** 2)) for name in model)
    assert away < 1e-2 * sum(float(np.sum(leaf**2)) for leaf in optimum.values())
    assert 3 < uploads < 45


def test_messages_travel_bit_for_bit_and_a_skip_weighs_one_flag():
    compressor = laq()
    _, made = send(compressor, update(), compressor.init(update()), nothing())
    assert made.nominal_bits == 32 + 4 * 68
    data = wire.pack(made.message)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
    weight = jax.jit(lambda: wire.size(made.message, made.nominal_bits))()
    assert wire.packed_bits(weight) == 8 * len(data) == 32 + 4 * 68
    skipped = jax.jit(lambda: wire.size(made.message, made.nominal_bits, False, gated=True))()
    assert (int(skipped.nominal_bits), int(skipped.fixed_bits)) == (0, 1)


@pytest.mark.parametrize("x", [np.zeros(6), np.full(6, -0.3), np.array([7.5]), np.full(6, 1e-30)])
def test_zeros_constants_and_single_elements_are_held_exactly(x):
    compressor, x = DEFAULT, np.float32(x)
    new, made = send(compressor, x, compressor.init(x), np.zeros_like(x))
    np.testing.assert_array_equal(new, x)
    assert bool(made.sent)
    assert made.state.error == 0


@pytest.mark.parametrize(
    "options", [{"bits": 0}, {"bits": 9}, {"slack": -1.0}, {"slack": float("inf")}, {"max_skips": -1}]
)
def test_impossible_options_are_named(options):
    ((option, value),) = options.items()
    with pytest.raises(ValueError, match=f"^laq: {option}={value}; allowed: [^\n]*$"):
        laq(**options)

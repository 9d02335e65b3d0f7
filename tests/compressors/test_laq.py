"""LAQ: what the server holds is within half a step of the update, and clients skip what would change little."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.base import Context
from halo_jax.compressors.laq import laq
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


def nothing():
    return jax.tree.map(jnp.zeros_like, update())


def send(compressor, x, state, held, plan=0.0):
    """(what the server then holds, the upload)"""
    context = CONTEXT._replace(held=held, plan=jnp.float32(plan))
    made = compressor.compress(x, state, context, jax.random.key(0))
    new = compressor.decompress(made.message, x, context)
    return jax.tree.map(lambda new, old: jnp.where(made.sent, new, old), new, held), made


def uploads_of(compressor, xs, plan=0.0):
    """Which of a client's messages travel."""
    state, held, found = compressor.init(xs[0]), jax.tree.map(jnp.zeros_like, xs[0]), []
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
        radius = max(float(jnp.abs(update()[name] - held[name]).max()) for name in held)
        np.testing.assert_allclose(made.message[1], radius)
        error = max(float(jnp.abs(new[name] - update()[name]).max()) for name in held)
        assert 0.5 * radius / (2**bits - 1) < error <= radius / (2**bits - 1) * (1 + 1e-5)
        squares = sum(float(jnp.sum((new[name] - update()[name]) ** 2)) for name in held)
        np.testing.assert_allclose(made.state.error, squares, rtol=1e-4)


def test_the_rule_compares_the_step_with_the_models_moves_and_both_errors():
    """g - h = (1, 0.2): with one bit Q - h = (1, 1), ||Q - h||^2 = 2 and ||Q - g||^2 = 0.64."""
    compressor, x, held = laq(bits=1), jnp.array([3.0, 0.2]), jnp.array([2.0, 0.0])
    for before, plan, sent in ((0.0, 0.09, False), (0.0, 0.07, True), (0.02, 0.07, False), (0.02, 0.0, True)):
        state = compressor.init(x)._replace(error=jnp.float32(before), skips=jnp.int32(5))
        new, made = send(compressor, x, state, held, plan)
        assert bool(made.sent) == sent
        np.testing.assert_array_equal(new, [3.0, 1.0] if sent else held)
        np.testing.assert_allclose(made.state.error, 0.64 if sent else before, rtol=1e-5)
        assert int(made.state.skips) == (0 if sent else 6)


def test_without_slack_and_errors_nothing_that_changed_is_skipped():
    """With one bit and elements of +-R, every message is exact."""
    signs = jnp.array([1.0, -1.0, -1.0, 1.0])
    exact = [signs * step for step in (1.0, 3.0, 2.0, -2.0, -1.0, 7.0)]
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
    state, moves = server.init(update()), []
    assert server.plan(state) == 0
    for i in range(13):
        moves.append(sum(float(jnp.sum(leaf**2)) for leaf in update(i).values()))
        state = server.observe(state, update(i), jnp.float32(1))
        np.testing.assert_allclose(server.plan(state), slack * 0.08 * sum(moves[-10:]), rtol=1e-5)


def test_the_running_sum_of_innovations_is_what_is_held_of_all_and_descends_a_quadratic():
    compressor, targets = laq(slack=0.5), [update(i) for i in range(3)]
    model = total = nothing()
    optimum = jax.tree.map(lambda *each: sum(each) / 3, *targets)
    states, helds = [compressor.init(model)] * 3, [nothing()] * 3
    server, uploads = compressor.server.init(model), 0
    step = jax.jit(lambda *arguments: send(compressor, *arguments))
    for _ in range(15):
        plan = compressor.server.plan(server)
        for c, target in enumerate(targets):
            x = jax.tree.map(lambda goal, at: 0.5 * (goal - at), target, model)
            new, made = step(x, states[c], helds[c], plan)
            total = jax.tree.map(lambda t, now, old: t + now - old, total, new, helds[c])
            states[c], helds[c] = made.state, new
            uploads += int(made.sent)
        held = jax.tree.map(lambda *each: sum(each), *helds)
        jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5), total, held)
        change = jax.tree.map(lambda leaf: leaf / 3, held)
        model = jax.tree.map(jnp.add, model, change)
        server = compressor.server.observe(server, change, jnp.float32(1))
    away = sum(float(jnp.sum((model[name] - optimum[name]) ** 2)) for name in model)
    assert away < 1e-2 * sum(float(jnp.sum(leaf**2)) for leaf in optimum.values())
    assert 3 < uploads < 45


def test_messages_travel_bit_for_bit_and_a_skip_weighs_one_flag():
    compressor = laq()
    _, made = send(compressor, update(), compressor.init(update()), nothing())
    assert made.nominal_bits == 32 + 4 * 68
    data = wire.pack(made.message)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
    assert wire.packed_bits(wire.size(made.message, made.nominal_bits)) == 8 * len(data) == 32 + 4 * 68
    skipped = wire.size(made.message, made.nominal_bits, False, gated=True)
    assert (int(skipped.nominal_bits), int(skipped.fixed_bits)) == (0, 1)


@pytest.mark.parametrize("x", [jnp.zeros(6), jnp.full(6, -0.3), jnp.array([7.5]), jnp.full(6, 1e-30)])
def test_zeros_constants_and_single_elements_are_held_exactly(x):
    compressor = laq()
    new, made = send(compressor, x, compressor.init(x), jnp.zeros_like(x))
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

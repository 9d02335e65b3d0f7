"""AdaQuantFL: as many levels as the loss has fallen, in one program, each unbiased."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.adaquantfl import adaquantfl
from tests.compressors.context import CONTEXT


def update(seed=0):
    rng = np.random.default_rng(seed)
    return {"a": rng.normal(size=(9, 7)).astype(np.float32), "b": rng.normal(size=5).astype(np.float32)}


def levels_after(losses, **options):
    """s_k of every round, the one before the first loss included."""
    server = adaquantfl(**options).server
    observe = jax.jit(lambda state, loss: (new := server.observe(state, update(), loss), server.plan(new)))
    state, found = server.init(update()), []
    plan = server.plan(state)
    for loss in [None, *losses]:
        if loss is not None:
            state, plan = observe(state, np.float32(loss))
        assert (plan.dtype, plan.shape) == (jnp.int32, ())
        found.append(int(plan))
    return found


def test_levels_are_s0_times_the_root_of_the_fall_rounded_up():
    losses = [2.0, 1.5, 1.0, 0.5, 0.3, 0.02]
    assert levels_after(losses) == [2, *(int(np.ceil(2 * np.sqrt(2 / loss))) for loss in losses)]
    assert levels_after([4.0, 1.0, 0.25], levels=5) == [5, 5, 10, 20]


def test_levels_never_fall_with_the_loss_and_fall_when_it_rises():
    found = levels_after(np.geomspace(2.3, 1e-7, 40))
    assert found == sorted(found)
    assert found[-1] == 255
    assert levels_after([1.0, 9.0, 1e9], levels=6) == [6, 6, 2, 1]


def test_losses_that_are_not_finite_change_nothing_and_zero_takes_the_most_levels():
    assert levels_after([np.nan, np.inf, 1.0, np.nan, 0.25, np.inf]) == [2, 2, 2, 2, 2, 4, 4]
    assert levels_after([1.0, 0.0]) == [2, 2, 255]
    assert levels_after([0.0, 0.0]) == [2, 2, 2]


@pytest.mark.parametrize(("scope", "norms"), [("flat", 1), ("tensor", 2)])
def test_one_program_serves_all_levels_and_its_messages_travel_bit_for_bit(scope, norms):
    compressor, traces = adaquantfl(scope=scope), []

    @jax.jit
    def round_trip(x, plan):
        traces.append(None)
        context = CONTEXT._replace(plan=plan)
        made = compressor.compress(x, (), context, jax.random.key(0))
        found = compressor.decompress(made.message, x, context)
        return made, found, wire.size(made.message, made.nominal_bits)

    norm = np.sqrt(sum(float(np.sum(part**2)) for part in update().values()))
    for levels, bits in ((1, 2), (2, 3), (3, 3), (4, 4), (255, 9)):
        made, found, weight = round_trip(update(), np.int32(levels))
        assert int(made.nominal_bits) == 32 * norms + 32 + 68 * bits
        data = wire.pack(made.message)
        jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)
        assert wire.packed_bits(weight) == 8 * len(data)
        assert max(np.abs(found[name] - part).max() for name, part in update().items()) < norm / levels
    assert len(traces) == 1


def test_the_mean_of_many_messages_is_the_update_and_the_error_within_qsgds_bound():
    compressor, x, draws = adaquantfl(), update()["a"].reshape(-1), 2000

    def one(key, context):
        return compressor.decompress(compressor.compress(x, (), context, key).message, x, context)

    run, keys = jax.jit(jax.vmap(one, (0, None))), jax.random.split(jax.random.key(0), draws)
    for levels in (2, 9):
        found = np.asarray(run(keys, CONTEXT._replace(plan=np.int32(levels))), np.float64)
        error = found.std(0) / draws**0.5
        assert (np.abs(found.mean(0) - x) < 5 * error + 1e-6).all()
        relative = ((found - x) ** 2).sum(1).mean() / float(np.sum(x**2))
        assert 0 < relative < min(63 / levels**2, 63**0.5 / levels)


def test_the_loss_is_reported():
    context = CONTEXT._replace(plan=np.int32(2), loss=np.float32(0.7))
    made = jax.jit(adaquantfl().compress)(update(), (), context, jax.random.key(0))
    assert float(made.message[1]) == np.float32(0.7)


@pytest.mark.parametrize("x", [np.zeros(6), np.array([-7.5]), np.full(4, 0.5)])
def test_zeros_single_elements_and_constants_on_a_level_come_back(x):
    @jax.jit
    def round_trip(x):
        context = CONTEXT._replace(plan=np.int32(2))
        made = adaquantfl().compress([x], (), context, jax.random.key(0))
        return adaquantfl().decompress(made.message, [x], context)[0]

    np.testing.assert_array_equal(round_trip(np.float32(x)), x)


@pytest.mark.parametrize("levels", [0, 256])
def test_impossible_levels_are_named(levels):
    with pytest.raises(ValueError, match=f"^adaquantfl: levels={levels}; allowed: 1 to 255$"):
        adaquantfl(levels=levels)

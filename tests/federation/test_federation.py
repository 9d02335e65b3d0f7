"""One round is Algorithm 1: the same bits as a plain loop over clients, on every executor, compiled once."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors.base import Context, size_of, whole_model
from halo_jax.compressors.wire import size
from halo_jax.config import default
from halo_jax.federation import server
from halo_jax.federation import virtual_clock as timing
from halo_jax.federation.clients import sample_cohort
from halo_jax.federation.fingerprint import fingerprint
from halo_jax.federation.round import make_run_round
from halo_jax.federation.state import ClientResults, FederationState, init_state
from halo_jax.numerics.dead_layers import none_dead
from halo_jax.runner.build import Federation, assemble
from halo_jax.types import Precision, Stream, stream

CLIENTS = 4
KEY = jax.random.key(3)
RATE = jnp.float32(1.0)
START = Precision(*jnp.array([[8, 6, 4, 8], [8, 8, 6, 4], [6, 8, 8, 4]], jnp.int32))  # [N] each


def tiny_config():
    """Four clients with unequal shards that reduce in every round and upload with their own weight bits."""
    config = default()
    config.dataset, config.train_examples, config.test_examples = "synthetic", 37, 16
    config.model, config.width = "small_cnn", 0.1
    config.num_clients, config.batch_size, config.rounds = CLIENTS, 8, 3
    config.demand.energy_clients = config.demand.latency_clients = config.demand.area_clients = 1
    config.selector.reduce_every = 1
    config.compressor.name = "uniform"
    config.executor = "map"
    return config


@functools.cache
def federation() -> Federation:
    return assemble(tiny_config())


@functools.cache
def round_of(executor: str, cohort_size: int):
    """`run_round`; it fails if it traces the training of a client a second time."""
    traces = []

    def local_train(*args, **kwargs):
        traces.append(executor)
        assert len(traces) == 1
        return federation().stages.local_train(*args, **kwargs)

    stages = federation().stages._replace(local_train=local_train)
    return make_run_round(stages, cohort_size, executor, chunk_size=3)


def first_state(executor: str = "map") -> FederationState:
    state = init_state(federation().first_model, Precision(8, 8, 8), CLIENTS, federation().stages, executor)
    return state._replace(precision=jax.tree.map(jnp.copy, START))  # run_round donates its state


@functools.cache
def one_round(executor: str, cohort_size: int = CLIENTS) -> tuple[FederationState, ClientResults]:
    """The first round from `first_state`, as numpy arrays."""
    answer = round_of(executor, cohort_size)(first_state(executor), federation().data, KEY, RATE)
    return jax.tree.map(np.asarray, answer)


@jax.jit
def select_one(client, precision, demand, loss):
    key = stream(KEY, Stream.SELECT, 0, client)
    choose = federation().stages.selector.select
    return choose((), precision, demand, federation().stages.cost_fn, round=jnp.int32(0), loss=loss, key=key)[0]


@jax.jit
def train_one(model, client, precision, local_data):
    """What a client does after it has chosen: its upload as the server sees it, and what it reports."""
    stages, key = federation().stages, stream(KEY, Stream.CLIENT, 0, client)
    images, dead = federation().data.images, none_dead(model)
    trained, loss, dead = stages.local_train(model, precision, local_data, images, dead, learning_rate=RATE, key=key)
    private = stream(key, Stream.COMPRESS)
    shared = stream(KEY, Stream.DITHER, 0, client)
    context = Context(client, jnp.int32(0), precision, loss, shared)
    made = stages.compressor.compress(trained, (), context, private)
    received = stages.compressor.decompress(made.message, trained, context)
    return received, size(made.message, made.nominal_bits), loss, dead, fingerprint(received)


@functools.cache
def by_hand(cohort_size: int = CLIENTS) -> tuple[FederationState, ClientResults]:
    """The same round as a loop over single clients."""
    data, start = federation().data, first_state()
    own = lambda tree, client: jax.tree.map(lambda leaf: leaf[client], tree)  # noqa: E731
    stack = lambda trees: jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)  # noqa: E731
    chosen = [
        select_one(client, own(START, client), own(data.demands, client), start.losses[client])
        for client in range(CLIENTS)
    ]
    cohort = sample_cohort(stream(KEY, Stream.COHORT, 0), CLIENTS, cohort_size)
    models, payloads, losses, dead, updates = zip(
        *(train_one(start.model, client, chosen[client], own(data.local_data, client)) for client in cohort.tolist()),
        strict=True,
    )
    examples = data.num_examples[cohort]
    aggregated = server.aggregate(
        stack(models), examples, rounding=federation().stages.recipe.rounding, key=stream(KEY, Stream.AGGREGATE, 0)
    )
    bits = stack([chosen[client] for client in cohort.tolist()])
    cost = federation().stages.cost_fn(bits)
    broadcast = size(whole_model(start.model, 8), 8 * size_of(start.model))
    yes = jnp.ones(cohort_size, bool)
    samples = examples.astype(jnp.float32)
    nothing = jnp.zeros(cohort_size)
    compute, energy = np.asarray(cost.latency_s) * samples, np.asarray(cost.energy_mj) * samples * jnp.float32(1e-3)
    results = ClientResults(
        client=cohort,
        precision=bits,
        cost=cost,
        up_size=stack(payloads),
        uploaded=yes,
        down_size=stack([broadcast] * cohort_size),
        examples=examples,
        loss=jnp.stack(losses),
        dead=jnp.stack(dead),
        update=jnp.stack(updates),
        lap=timing.Lap(nothing, compute, nothing, energy, yes, yes),
        virtual_seconds=compute.max(),
    )
    state = start._replace(
        round=start.round + 1,
        model=aggregated,
        precision=stack(chosen),
        losses=start.losses.at[cohort].set(results.loss),
        dead=start.dead.at[cohort].set(results.dead),
        spent=start.spent.at[cohort].set(energy),
    )
    return jax.tree.map(np.asarray, (state, results))


def test_the_setup_is_not_trivial():
    assert len(set(federation().data.num_examples.tolist())) > 1
    _, results = by_hand()
    assert len({tuple(bits) for bits in np.stack(results.precision).T.tolist()}) > 1
    changed = [
        (old != new).any()
        for old, new in zip(jax.tree.leaves(federation().first_model), jax.tree.leaves(by_hand()[0].model), strict=True)
    ]
    assert all(changed)


@pytest.mark.parametrize(("executor", "cohort_size"), [("vmap", 4), ("map", 4), ("shard", 3), ("chunk", 4)])
def test_a_round_is_a_plain_loop_over_clients_bit_for_bit(executor, cohort_size):
    state, results = one_round(executor, cohort_size)
    expected_state, expected = by_hand(cohort_size)
    chex.assert_trees_all_equal(results._replace(cost=()), expected._replace(cost=()), strict=True)
    chex.assert_trees_all_equal(state, expected_state, strict=True)
    chex.assert_trees_all_close(results.cost, expected.cost, rtol=1e-6)  # records: one jitted, one not


def test_a_clients_result_does_not_depend_on_who_else_takes_part():
    _, everyone = one_round("map")
    state, some = one_round("shard", 3)
    for field in ("loss", "up_size", "examples", "update", "dead"):
        of_some = jax.tree.map(lambda leaf: leaf[some.client], getattr(everyone, field))
        jax.tree.map(np.testing.assert_array_equal, getattr(some, field), of_some)
    absent = np.setdiff1d(np.arange(CLIENTS), some.client)
    assert len(absent) == 1
    assert np.isinf(state.losses[absent]).all()
    np.testing.assert_array_equal(state.precision.weights, one_round("map")[0].precision.weights)


def test_a_second_round_other_bits_and_another_learning_rate_compile_nothing():
    run_round = round_of("map", CLIENTS)
    state = first_state()
    for rate, weights in ((8.0, 8), (0.125, 5), (1.0, 2)):
        state = state._replace(precision=state.precision._replace(weights=jnp.full(CLIENTS, weights, jnp.int32)))
        state, _ = run_round(state, federation().data, jax.random.key(weights), jnp.float32(rate))
    assert int(state.round) == 3
    assert run_round._cache_size() == 1


def test_another_key_trains_another_model_and_the_same_key_the_same():
    model = one_round("map")[0].model
    again, _ = round_of("map", CLIENTS)(first_state(), federation().data, KEY, RATE)
    chex.assert_trees_all_equal(jax.tree.map(np.asarray, again.model), model)
    other, _ = round_of("map", CLIENTS)(first_state(), federation().data, jax.random.key(4), RATE)
    with pytest.raises(AssertionError):
        chex.assert_trees_all_equal(jax.tree.map(np.asarray, other.model), model)


def test_a_round_leaves_the_first_model_alone():
    before = jax.tree.map(np.array, federation().first_model)
    one_round("map")
    chex.assert_trees_all_equal(jax.tree.map(np.asarray, federation().first_model), before)

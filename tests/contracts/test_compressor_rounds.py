"""The contract of every compressor over rounds: clients that pull towards targets of their own meet near the mean.

Training is replaced by a step of half the way, so that a round is what travels and nothing else.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.compressors import COMPRESSORS
from halo_jax.federation import clients, communication
from halo_jax.federation.local_training import Trained
from halo_jax.federation.participants import Client, ClientMemory, Shared
from halo_jax.federation.stages import Stages
from halo_jax.recipes import RECIPES
from halo_jax.types import Precision
from tests.contracts.test_compressors import made

CLIENTS, ROUNDS = 4, 12
SHAPES = {"a": (15, 6), "b": (7, 4)}
OPTIONS = {"topk": {"share": 0.2}, "fl_pqsu": {"keep": 1.0}}
LIMITS = {"jopeq": 0.7, "ef_signsgd": 0.7}  # of the first distance; noise that hides an update is most of it
CASES = [(name, "float32") for name in COMPRESSORS] + [(name, "wage") for name in ("lfl", "laq", "qa_fl", "drive")]


def targets():
    """One network for each client: a common part, and one of their own."""
    rng = np.random.default_rng(0)
    draw = lambda shape: rng.normal(size=shape) + 0.2 * rng.normal(size=(CLIENTS, *shape))  # noqa: E731
    return {name: jnp.asarray(0.2 * draw(shape), jnp.float32) for name, shape in SHAPES.items()}


@functools.cache
def round_of(name, recipe_name):
    """(the first state, one jitted round, what a round has traced)."""
    recipe = RECIPES[recipe_name]()
    compressor = made(name, "float32" if recipe_name == "float32" else "int8", **OPTIONS.get(name, {}))
    stages = Stages(recipe=recipe, compressor=compressor, local_train=None, selector=None, cost_fn=None)
    exchange = clients.lift(functools.partial(communication.exchange, stages), "vmap")
    zeros, traces = {name: jnp.zeros(shape) for name, shape in SHAPES.items()}, []

    def for_each_client(tree):
        return jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], CLIENTS, 0), tree)

    memory = for_each_client(ClientMemory(compressor.init(zeros), zeros if compressor.remembers else ()))
    first = (recipe.encode(zeros), memory, jax.tree.map(jnp.asarray, compressor.server.init(zeros)), jnp.int32(0))

    @jax.jit
    def one_round(state):
        traces.append(None)
        model, memory, server, number = state
        key = jax.random.key(5)
        downlink = communication.broadcast(model, server, stages, jax.random.fold_in(key, number))
        start = recipe.decode(downlink.model)
        trained = jax.tree.map(lambda mine, target: mine + (target - mine) / 2, start, targets())
        losses = sum(jnp.sum((t - s) ** 2, (1, 2)) for s, t in zip(start.values(), targets().values(), strict=True))
        trained = recipe.encode(trained)
        pooled = ()
        if compressor.stats is not None:
            x = jax.vmap(lambda model: communication.carried(stages, model, downlink.model))(trained)
            pooled = jax.tree.map(lambda leaf: leaf.max(0), jax.vmap(compressor.stats)(x))
        bits = Precision(*jnp.full((3, CLIENTS), 8, jnp.int32))
        nothing = dict.fromkeys(Client._fields)
        cohort = Client(**{**nothing, "id": jnp.arange(CLIENTS), "precision": bits, "memory": memory})
        shared = Shared(downlink, images=None, learning_rate=None, key=key, round=number)
        found = exchange((cohort, Trained(trained, losses, dead=None)), (shared, pooled))
        values = found.memory.held if compressor.remembers else found.received
        examples = jnp.full(CLIENTS, 10, jnp.int32)
        new = communication.aggregate(stages, values, examples, found.memory.state, downlink.model, key)
        change = jax.tree.map(jnp.subtract, recipe.decode(new), recipe.decode(model))
        server = compressor.server.observe(downlink.server, change, losses.mean())
        return (new, found.memory, server, number + 1), (found.up_size, found.down_size)

    return first, one_round, traces


def distance(name, recipe_name, state):
    """Of the server's model from the mean of the targets."""
    weights = RECIPES[recipe_name]().decode(state[0])
    return sum(float(jnp.sum((targets()[leaf].mean(0) - weights[leaf]) ** 2)) for leaf in SHAPES) ** 0.5


@pytest.mark.parametrize(("name", "recipe"), CASES)
def test_rounds_bring_the_server_near_the_mean_and_a_state_from_disk_goes_on_alike(name, recipe):
    state, one_round, traces = round_of(name, recipe)
    before, saved = distance(name, recipe, state), None
    for number in range(ROUNDS):
        if number == ROUNDS // 2:
            saved = jax.tree.map(np.array, state)  # what a checkpoint holds
        state, sizes = one_round(state)
        assert all((np.asarray(size.nominal_bits) >= 0).all() for size in sizes)
    assert len(traces) == 1
    assert distance(name, recipe, state) < LIMITS.get(name, 0.35) * before
    again = jax.tree.map(jnp.asarray, saved)
    for _ in range(ROUNDS // 2):
        again, _ = one_round(again)
    jax.tree.map(np.testing.assert_array_equal, again, state)

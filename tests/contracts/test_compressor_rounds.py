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
    upload = clients.lift(communication.make_upload(compressor, recipe), "vmap")
    zeros, traces = {name: jnp.zeros(shape) for name, shape in SHAPES.items()}, []
    model = recipe.encode(zeros)
    stack = lambda tree: jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], CLIENTS, 0), tree)  # noqa: E731
    own = communication.Own(stack(compressor.init(zeros)), stack(zeros) if compressor.remembers else ())
    first = (model, own, jax.tree.map(jnp.asarray, compressor.server.init(zeros)), jnp.int32(0))

    @jax.jit
    def one_round(state):
        traces.append(None)
        model, own, server, number = state
        key = jax.random.key(5)
        sent = communication.broadcast(model, server, compressor, recipe, jax.random.fold_in(key, number))
        start = recipe.decode(sent.model)
        trained = jax.tree.map(lambda mine, target: mine + (target - mine) / 2, start, targets())
        losses = sum(jnp.sum((t - s) ** 2, (1, 2)) for s, t in zip(start.values(), targets().values(), strict=True))
        trained = recipe.encode(trained)
        pooled = ()
        if compressor.stats is not None:
            of_one = lambda model: compressor.stats(communication.carried(compressor, recipe, model, sent.model))  # noqa: E731
            pooled = jax.tree.map(lambda leaf: leaf.max(0), jax.vmap(of_one)(trained))
        ids, bits = jnp.arange(CLIENTS), Precision(*jnp.full((3, CLIENTS), 8, jnp.int32))
        received = upload((ids, bits, trained, losses, own), (sent, pooled, key, number))
        values = received.own.held if compressor.remembers else received.value
        examples = jnp.full(CLIENTS, 10, jnp.int32)
        new = communication.aggregate(values, examples, received.own.state, sent, compressor, recipe, key)
        change = jax.tree.map(jnp.subtract, recipe.decode(new), recipe.decode(model))
        server = compressor.server.observe(sent.state, change, losses.mean())
        return (new, received.own, server, number + 1), (received.weight, sent.weight)

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
        state, weights = one_round(state)
        assert all((np.asarray(weight.nominal_bits) >= 0).all() for weight in weights)
    assert len(traces) == 1
    assert distance(name, recipe, state) < LIMITS.get(name, 0.35) * before
    again = jax.tree.map(jnp.asarray, saved)
    for _ in range(ROUNDS // 2):
        again, _ = one_round(again)
    jax.tree.map(np.testing.assert_array_equal, again, state)

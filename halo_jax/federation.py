"""Algorithm 1 of the paper: one federated round as one jitted call."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax import clients, health, server
from halo_jax.compressors.base import Compressor
from halo_jax.fingerprint import fingerprint
from halo_jax.recipes.base import Recipe
from halo_jax.selectors.base import CostFn, Selector
from halo_jax.training import Images, LocalTrain, Shard
from halo_jax.types import Cost, Demand, Precision, Stream, stream


class FederatedData(NamedTuple):
    """What clients own: resident `images`, `shards` `[N, M]`, `num_examples` int32 `[N]`, `demands` stacked `[N]`."""

    images: Images
    shards: Shard
    num_examples: jax.Array
    demands: Demand


class FederationState(NamedTuple):
    """Everything that goes from round to round; a checkpoint of it resumes the run."""

    round: jax.Array  # int32 [], rounds done
    model: Any  # the server's model, in the recipe's dtype
    precision: Precision  # int32 [N]
    losses: jax.Array  # float32 [N], each client's last training loss; inf before its first round
    dead: jax.Array  # int32 [N, L, 3], steps in a row in which a tensor learned nothing (health.KINDS)
    selector: Any  # stacked [N, ...]
    compressor: Any  # stacked [N, ...]


class ClientResults(NamedTuple):
    """What the cohort's clients did in one round, every field `[C]`."""

    client: jax.Array
    precision: Precision
    cost: Cost
    payload_up_bits: jax.Array
    examples: jax.Array
    loss: jax.Array
    dead: jax.Array  # [C, L, 3] after the round
    update: jax.Array  # uint32 [C, 2], fingerprint of the model that the server has received


class Stages(NamedTuple):
    """The pluggable parts of a round, each written for one client."""

    local_train: LocalTrain
    selector: Selector
    compressor: Compressor
    cost_fn: CostFn


def init_state(
    model: Any, start: Precision, num_clients: int, stages: Stages, executor: str = "map"
) -> FederationState:
    """The state before the first round: every client at precision `start` (Algorithm 1, lines 4 and 5)."""

    def stack(one):
        return jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], num_clients, axis=0), one)

    state = FederationState(
        round=jnp.int32(0),
        model=jax.tree.map(jnp.copy, model),  # run_round donates its state
        precision=stack(Precision(*(jnp.int32(bits) for bits in start))),
        losses=jnp.full(num_clients, jnp.inf),
        dead=stack(health.none_dead(model)),
        selector=stack(stages.selector.init()),
        compressor=stack(stages.compressor.init(model)),
    )
    return clients.place(state, executor)


RunRound = Callable[..., tuple[FederationState, ClientResults]]


def make_run_round(
    stages: Stages, recipe: Recipe, cohort_size: int, executor: str, chunk_size: int = clients.CHUNK_SIZE
) -> RunRound:
    """Build the jitted `run_round(state, data, key, learning_rate) -> (state, results)`.

    `key` is the run's key: every draw folds in its purpose, the round and the client's id, so a client's numbers
    don't depend on the executor or on who else takes part. The state is donated.
    """

    def select(client, selector_state, precision, demand, loss, key, round):
        key = stream(key, Stream.SELECT, round, client)
        return stages.selector.select(
            selector_state, precision, demand, stages.cost_fn, round=round, loss=loss, key=key
        )

    def train(client, precision, shard, compressor_state, dead, broadcast, images, learning_rate, key, round):
        client_key = stream(key, Stream.CLIENT, round, client)
        model, loss, dead = stages.local_train(
            broadcast, precision, shard, images, dead, learning_rate=learning_rate, key=client_key
        )
        message, compressor_state, bits = stages.compressor.compress(
            model, broadcast, compressor_state, precision=precision, key=stream(client_key, Stream.COMPRESS)
        )
        received = stages.compressor.decompress(message, broadcast)
        return received, compressor_state, bits, loss, dead, fingerprint(received)

    def run_round(
        state: FederationState, data: FederatedData, key: jax.Array, learning_rate: jax.Array
    ) -> tuple[FederationState, ClientResults]:
        everyone = jnp.arange(data.num_examples.shape[0])
        cohort = clients.sample_cohort(stream(key, Stream.COHORT, state.round), len(everyone), cohort_size)
        broadcast = server.broadcast(state.model)  # Algorithm 1, line 7

        # Lines 9 to 18. Choice: every registered client selects in every round, also when it is not in the cohort.
        precision, selector_state = clients.lift(select, "vmap")(
            (everyone, state.selector, state.precision, data.demands, state.losses), (key, state.round)
        )

        # Line 19.
        bits, shards, *own = clients.take((precision, data.shards, state.compressor, state.dead), cohort)
        models, compressor_state, payload, losses, dead, updates = clients.lift(train, executor, chunk_size)(
            (cohort, bits, shards, *own), (broadcast, data.images, learning_rate, key, state.round)
        )

        # Line 21.
        examples = data.num_examples[cohort]
        model = server.aggregate(
            models, examples, rounding=recipe.rounding, key=stream(key, Stream.AGGREGATE, state.round)
        )
        new_state = FederationState(
            round=state.round + 1,
            model=model,
            precision=precision,
            losses=clients.put(state.losses, cohort, losses),
            dead=clients.put(state.dead, cohort, dead),
            selector=selector_state,
            compressor=clients.put(state.compressor, cohort, compressor_state),
        )
        cost = stages.cost_fn(bits)
        return new_state, ClientResults(cohort, bits, cost, payload, examples, losses, dead, updates)

    return jax.jit(run_round, donate_argnums=0, out_shardings=clients.placement(executor))

"""Algorithm 1 of the paper: one federated round as one jitted call."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax import clients, exchange, health
from halo_jax.compressors.base import Compressor, peak
from halo_jax.compressors.wire import Size
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
    own: exchange.Own  # the compressor's, stacked [N, ...]
    server: Any  # the compressor's state on the server


class ClientResults(NamedTuple):
    """What the cohort's clients did in one round, every field but `down` `[C]`."""

    client: jax.Array
    precision: Precision
    cost: Cost
    up: Size
    uploaded: jax.Array  # False where a gate kept the message back
    down: Size  # of the broadcast message, []
    whole_down_bits: jax.Array  # not 0 where the whole model was sent in its place
    extra_down_bits: jax.Array
    examples: jax.Array
    loss: jax.Array
    dead: jax.Array  # [C, L, 3] after the round
    update: jax.Array  # uint32 [C, 2], fingerprint of what the server has received


class Stages(NamedTuple):
    """The pluggable parts of a round, each written for one client."""

    local_train: LocalTrain
    selector: Selector
    compressor: Compressor
    cost_fn: CostFn


def init_state(
    model: Any, start: Precision, num_clients: int, stages: Stages, recipe: Recipe, executor: str = "map"
) -> FederationState:
    """The state before the first round: every client at precision `start` (Algorithm 1, lines 4 and 5)."""

    def stack(one):
        return jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], num_clients, axis=0), one)

    compressor, weights = stages.compressor, recipe.decode(model)
    held = jax.tree.map(jnp.zeros_like, weights) if compressor.remembers else ()
    state = FederationState(
        round=jnp.int32(0),
        model=jax.tree.map(jnp.copy, model),  # run_round donates its state
        precision=stack(Precision(*(jnp.int32(bits) for bits in start))),
        losses=jnp.full(num_clients, jnp.inf),
        dead=stack(health.none_dead(model)),
        selector=stack(stages.selector.init()),
        own=exchange.Own(stack(compressor.init(weights)), stack(held)),
        server=jax.tree.map(jnp.array, compressor.server.init(weights)),
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
    compressor = stages.compressor
    train_and_upload = _make_train_and_upload(stages, recipe, executor, chunk_size)

    def select(client, selector_state, precision, demand, loss, key, round):
        key = stream(key, Stream.SELECT, round, client)
        return stages.selector.select(
            selector_state, precision, demand, stages.cost_fn, round=round, loss=loss, key=key
        )

    def run_round(
        state: FederationState, data: FederatedData, key: jax.Array, learning_rate: jax.Array
    ) -> tuple[FederationState, ClientResults]:
        everyone = jnp.arange(data.num_examples.shape[0])
        cohort = clients.sample_cohort(stream(key, Stream.COHORT, state.round), len(everyone), cohort_size)
        down_key = stream(key, Stream.BROADCAST, state.round)
        sent = exchange.broadcast(state.model, state.server, compressor, recipe, down_key)  # line 7

        # Lines 9 to 18. Choice: every registered client selects in every round, also when it is not in the cohort.
        precision, selector_state = clients.lift(select, "vmap")(
            (everyone, state.selector, state.precision, data.demands, state.losses), (key, state.round)
        )

        # Line 19.
        bits, shards, own, dead = clients.take((precision, data.shards, state.own, state.dead), cohort)
        received, losses, dead = train_and_upload(
            (cohort, bits, shards, own, dead), (sent, data.images, learning_rate, key, state.round)
        )
        own = clients.put(state.own, cohort, received.own)

        # Line 21.
        examples = data.num_examples[cohort]
        of_all, of_cohort = (own.held, data.num_examples, own.state), (received.value, examples, received.own.state)
        model = exchange.aggregate(
            *(of_all if compressor.remembers else of_cohort),
            sent,
            compressor,
            recipe,
            stream(key, Stream.AGGREGATE, state.round),
        )
        change = jax.tree.map(jnp.subtract, recipe.decode(model), recipe.decode(state.model))
        loss = jnp.sum(losses * examples) / jnp.sum(examples)
        new_state = FederationState(
            round=state.round + 1,
            model=model,
            precision=precision,
            losses=clients.put(state.losses, cohort, losses),
            dead=clients.put(state.dead, cohort, dead),
            selector=selector_state,
            own=own,
            server=compressor.server.observe(sent.state, change, loss),
        )
        results = _results(cohort, bits, stages.cost_fn(bits), sent, received, examples, losses, dead)
        return new_state, results

    return jax.jit(run_round, donate_argnums=0, out_shardings=clients.placement(executor))


def _results(cohort, bits, cost, sent, received: exchange.Received, examples, losses, dead) -> ClientResults:
    return ClientResults(
        client=cohort,
        precision=bits,
        cost=cost,
        up=received.weight,
        uploaded=received.sent,
        down=sent.weight,
        whole_down_bits=received.whole_down_bits,
        extra_down_bits=received.extra_down_bits,
        examples=examples,
        loss=losses,
        dead=dead,
        update=received.fingerprint,
    )


def _make_train_and_upload(stages: Stages, recipe: Recipe, executor: str, chunk_size: int) -> Callable[..., Any]:
    """Build the lifted `(own arguments [C, ...], shared ones) -> (Received, losses, dead)`, stacked `[C, ...]`."""
    compressor, upload = stages.compressor, exchange.make_upload(stages.compressor, recipe)

    def train(client, precision, shard, dead, start, images, learning_rate, key, round):
        key = stream(key, Stream.CLIENT, round, client)
        return stages.local_train(start, precision, shard, images, dead, learning_rate=learning_rate, key=key)

    def at_once(client, precision, shard, own, dead, sent, images, learning_rate, key, round):
        trained, loss, dead = train(client, precision, shard, dead, sent.model, images, learning_rate, key, round)
        return upload(client, precision, trained, loss, own, sent, (), key, round), loss, dead

    def in_two_steps(stacked, shared):
        """All train, their `stats` are pooled, all upload: the models of the whole cohort are kept in between."""
        (cohort, bits, shards, own, dead), (sent, images, learning_rate, key, round) = stacked, shared
        trained, losses, dead = lift(train)(
            (cohort, bits, shards, dead), (sent.model, images, learning_rate, key, round)
        )
        pooled = jax.tree.map(lambda each: peak(each, axis=0), lift(stats)((trained,), (sent.model,)))
        received = lift(upload)((cohort, bits, trained, losses, own), (sent, pooled, key, round))
        return received, losses, dead

    lift = lambda one_client: clients.lift(one_client, executor, chunk_size)  # noqa: E731
    if compressor.stats is None:
        return lift(at_once)
    of_update = compressor.stats
    stats = lambda model, start: of_update(exchange.carried(compressor, recipe, model, start))  # noqa: E731
    return in_two_steps

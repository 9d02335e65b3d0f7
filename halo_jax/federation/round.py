"""Algorithm 1 of the paper: one federated round as one jitted call."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, peak
from halo_jax.compressors.wire import Size, travelling_bits
from halo_jax.federation import clients, communication, virtual_clock
from halo_jax.federation.local_training import Images, LocalTrain, Shard
from halo_jax.numerics import dead_layers
from halo_jax.recipes.base import Recipe
from halo_jax.selectors.base import CostFn, Selector
from halo_jax.types import Cost, Demand, Precision, Stream, stream


class FederatedData(NamedTuple):
    """What clients own: resident `images`, `shards` `[N, M]`, `num_examples` int32 `[N]`, the rest stacked `[N]`."""

    images: Images
    shards: Shard
    num_examples: jax.Array
    demands: Demand
    clocks: virtual_clock.Clock


class FederationState(NamedTuple):
    """Everything that goes from round to round; a checkpoint of it resumes the run."""

    round: jax.Array  # int32 [], rounds done
    model: Any  # the server's model, in the recipe's dtype
    precision: Precision  # int32 [N]
    losses: jax.Array  # float32 [N], each client's last training loss; inf before its first round
    dead: jax.Array  # int32 [N, L, 3], steps in a row in which a tensor learned nothing (health.KINDS)
    spent: jax.Array  # float32 [N], joule that each client has taken from its battery
    selector: Any  # stacked [N, ...]
    own: communication.Own  # the compressor's, stacked [N, ...]
    server: Any  # the compressor's state on the server


class ClientResults(NamedTuple):
    """What the cohort's clients did in one round, every field but `down` and `seconds` `[C]`.

    A client that did not participate sent nothing: its `up` and `update` are 0, `loss` and `dead` as before.
    """

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
    lap: virtual_clock.Lap
    seconds: jax.Array  # of the virtual clock, float32 []


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
        dead=stack(dead_layers.none_dead(model)),
        spent=jnp.zeros(num_clients),
        selector=stack(stages.selector.init()),
        own=communication.Own(stack(compressor.init(weights)), stack(held)),
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
    compressor, select = stages.compressor, _make_select(stages)
    train_and_upload = _make_train_and_upload(stages, recipe, executor, chunk_size)

    def run_round(
        state: FederationState, data: FederatedData, key: jax.Array, learning_rate: jax.Array
    ) -> tuple[FederationState, ClientResults]:
        everyone = jnp.arange(data.num_examples.shape[0])
        cohort = clients.sample_cohort(stream(key, Stream.COHORT, state.round), len(everyone), cohort_size)
        down_key = stream(key, Stream.BROADCAST, state.round)
        sent = communication.broadcast(state.model, state.server, compressor, recipe, down_key)  # line 7

        # Lines 9 to 18. Choice: every registered client selects in every round, also when it is not in the cohort.
        precision, selector_state = select(
            (everyone, state.selector, state.precision, data.demands, state.losses), (key, state.round)
        )

        # Line 19.
        bits, shards, spent, clocks = clients.take((precision, data.shards, state.spent, data.clocks), cohort)
        before = clients.take((state.own, state.losses, state.dead), cohort)
        own, _, dead = before
        cost = stages.cost_fn(bits)
        received, lap, losses, dead = train_and_upload(
            (cohort, bits, shards, own, dead),
            (sent, data.images, learning_rate, key, state.round),
            lambda received: _time_laps(received, sent, (cohort, clocks, spent, cost), (key, state.round)),
        )
        own, losses, dead = clients.where(lap.participated, (received.own, losses, dead), before)
        examples = jnp.where(lap.participated, data.num_examples[cohort], 0)
        all_own = clients.put(state.own, cohort, own)

        # Line 21. Where nobody has taken part the model stays.
        of_all, of_cohort = (all_own.held, data.num_examples, all_own.state), (received.value, examples, own.state)
        of_whom = of_all if compressor.remembers else of_cohort
        average_key = stream(key, Stream.AGGREGATE, state.round)
        average = communication.aggregate(*of_whom, sent, compressor, recipe, average_key)
        model = jax.tree.map(lambda new, old: jnp.where(lap.participated.any(), new, old), average, state.model)
        change = jax.tree.map(jnp.subtract, recipe.decode(model), recipe.decode(state.model))
        loss = jnp.sum(jnp.where(lap.participated, losses * examples, 0)) / jnp.sum(examples)
        new_state = FederationState(
            round=state.round + 1,
            model=model,
            precision=precision,
            losses=clients.put(state.losses, cohort, losses),
            dead=clients.put(state.dead, cohort, dead),
            spent=clients.put(state.spent, cohort, spent + lap.energy_joule),
            selector=selector_state,
            own=all_own,
            server=compressor.server.observe(sent.state, change, loss),
        )
        seconds = virtual_clock.round_s(lap, clocks.deadline_s)
        results = _results(cohort, bits, cost, sent, received, data.num_examples[cohort], losses, dead, lap, seconds)
        return new_state, results

    return jax.jit(run_round, donate_argnums=0, out_shardings=clients.placement(executor))


def _make_select(stages: Stages) -> Callable[..., Any]:
    """Build the lifted `(own arguments [N, ...], shared ones) -> (precision [N], selector's state)`."""

    def select(client, selector_state, precision, demand, loss, key, round):
        key = stream(key, Stream.SELECT, round, client)
        return stages.selector.select(
            selector_state, precision, demand, stages.cost_fn, round=round, loss=loss, key=key
        )

    return clients.lift(select, "vmap")


def _time_laps(
    received: communication.Received, sent: communication.Sent, timed: tuple, shared: tuple
) -> virtual_clock.Lap:
    """The laps of clients `[C]` that upload so much; `timed` and `shared` are the rest of what `clock.lap` takes."""
    down = clients.lift(lambda one, sent: communication.down_bits(sent, one), "vmap")((received,), (sent,))
    up = clients.lift(travelling_bits, "vmap")((received.weight,), ())
    return clients.lift(virtual_clock.lap, "vmap")((*timed, down, up), shared)


def _results(
    cohort, bits, cost, sent, received: communication.Received, examples, losses, dead, lap: virtual_clock.Lap, seconds
) -> ClientResults:
    uploads = received.weight, received.sent, received.fingerprint
    up, uploaded, update = clients.where(lap.participated, uploads, jax.tree.map(jnp.zeros_like, uploads))
    return ClientResults(
        client=cohort,
        precision=bits,
        cost=cost,
        up=up,
        uploaded=uploaded,
        down=sent.weight,
        whole_down_bits=received.whole_down_bits,
        extra_down_bits=received.extra_down_bits,
        examples=examples,
        loss=losses,
        dead=dead,
        update=update,
        lap=lap,
        seconds=seconds,
    )


def _make_train_and_upload(stages: Stages, recipe: Recipe, executor: str, chunk_size: int) -> Callable[..., Any]:
    """Build the lifted `(own arguments [C, ...], shared ones, time_laps) -> (Received, Lap, losses, dead)`, `[C, ...]`.

    `time_laps(Received) -> Lap` says who is in time with what it uploads.
    """
    compressor, upload = stages.compressor, communication.make_upload(stages.compressor, recipe)

    def train(client, precision, shard, dead, start, images, learning_rate, key, round):
        key = stream(key, Stream.CLIENT, round, client)
        return stages.local_train(start, precision, shard, images, dead, learning_rate=learning_rate, key=key)

    def at_once(client, precision, shard, own, dead, sent, images, learning_rate, key, round):
        trained, loss, dead = train(client, precision, shard, dead, sent.model, images, learning_rate, key, round)
        return upload(client, precision, trained, loss, own, sent, (), key, round), loss, dead

    def in_one_step(stacked, shared, time_laps):
        received, losses, dead = lift(at_once)(stacked, shared)
        return received, time_laps(received), losses, dead

    def in_two_steps(stacked, shared, time_laps):
        """All train, their `stats` are pooled, all upload: the models of the whole cohort are kept in between.

        Only who takes part is pooled. Who that is depends on what uploads weigh, whatever the pool.
        """
        (cohort, bits, shards, own, dead), (sent, images, learning_rate, key, round) = stacked, shared
        trained, losses, dead = lift(train)(
            (cohort, bits, shards, dead), (sent.model, images, learning_rate, key, round)
        )
        of_all = lift(stats)((trained,), (sent.model,))

        def upload_with(of_some):
            pooled = jax.tree.map(lambda each: peak(each, axis=0), of_some)
            return lift(upload)((cohort, bits, trained, losses, own), (sent, pooled, key, round))

        lap = time_laps(upload_with(of_all))
        received = upload_with(clients.where(lap.participated, of_all, jax.tree.map(jnp.zeros_like, of_all)))
        return received, lap, losses, dead

    lift = lambda one_client: clients.lift(one_client, executor, chunk_size)  # noqa: E731
    if compressor.stats is None:
        return in_one_step
    of_update = compressor.stats
    stats = lambda model, start: of_update(communication.carried(compressor, recipe, model, start))  # noqa: E731
    return in_two_steps

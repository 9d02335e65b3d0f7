"""Algorithm 1 of the paper: one federated round as one jitted call."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import peak
from halo_jax.compressors.wire import travelling_bits
from halo_jax.federation import clients, communication, virtual_clock
from halo_jax.federation.clients import Lifted
from halo_jax.federation.communication import Exchange
from halo_jax.federation.local_training import Trained
from halo_jax.federation.participants import Client, Shared
from halo_jax.federation.stages import Stages
from halo_jax.federation.state import ClientResults, FederatedData, FederationState
from halo_jax.federation.virtual_clock import Lap
from halo_jax.types import Demand, Precision, Stream, stream


class RunRound(Protocol):
    """One round."""

    def __call__(
        self, state: FederationState, data: FederatedData, key: jax.Array, learning_rate: jax.Array
    ) -> tuple[FederationState, ClientResults]:
        """Return the state after the round, and what its clients did.

        Args:
          state: of before the round; it is donated.
          data: what clients own, stacked over all of them.
          key: the run's key: every draw folds in its purpose, the round and the client's id, so a client's numbers
            depend neither on the executor nor on who else takes part.
          learning_rate: of this round, float32 `[]`.
        """
        ...


class Outcome(NamedTuple):
    """What one client's round has come to, or the cohort's, `[C, ...]`."""

    exchange: Exchange
    loss: jax.Array  # float32 [], the mean over its training
    dead: jax.Array  # int32 [L, 3], after its training


def make_run_round(stages: Stages, cohort_size: int, executor: str, chunk_size: int = clients.CHUNK_SIZE) -> RunRound:
    """Build the jitted `run_round(state, data, key, learning_rate) -> (state, results)`.

    Args:
      stages: what the clients and the server do.
      cohort_size: C, how many clients take part.
      executor: how clients are mapped over: one of `clients.EXECUTORS`.
      chunk_size: how many clients run at a time under `chunk`.
    """
    compressor, recipe = stages.compressor, stages.recipe
    lift = functools.partial(clients.lift, executor=executor, chunk_size=chunk_size)
    train_and_exchange = _in_one_step if compressor.stats is None else _in_two_steps

    def run_round(
        state: FederationState, data: FederatedData, key: jax.Array, learning_rate: jax.Array
    ) -> tuple[FederationState, ClientResults]:
        num_clients = data.num_examples.shape[0]
        cohort = clients.sample_cohort(stream(key, Stream.COHORT, state.round), num_clients, cohort_size)

        # Line 7.
        broadcast_key = stream(key, Stream.BROADCAST, state.round)
        downlink = communication.broadcast(state.model, state.server, stages, broadcast_key)

        # Lines 9 to 18. Choice: every registered client selects in every round, also when it is not in the cohort.
        precision, selector = _select(stages, state, data.demands, key)

        # Line 19. A client that misses the round leaves no trace but what it has spent.
        before = _clients_of(cohort, stages, state, data, precision)
        shared = Shared(downlink, data.images, learning_rate, key, state.round)
        outcome, lap = train_and_exchange(stages, lift, before, shared)
        memory, loss, dead = clients.where(
            lap.participated,
            (outcome.exchange.memory, outcome.loss, outcome.dead),
            (before.memory, before.loss, before.dead),
        )
        memories = clients.put(state.own, cohort, memory)
        examples = data.num_examples[cohort]

        # Line 21. Where nobody has taken part the model stays.
        counted = jnp.where(lap.participated, examples, 0)
        received, weighed, states = outcome.exchange.received, counted, memory.state
        if compressor.remembers:  # of all registered clients
            received, weighed, states = memories.held, data.num_examples, memories.state
        aggregate_key = stream(key, Stream.AGGREGATE, state.round)
        average = communication.aggregate(stages, received, weighed, states, downlink.model, aggregate_key)
        model = jax.tree.map(lambda new, old: jnp.where(lap.participated.any(), new, old), average, state.model)
        change = jax.tree.map(jnp.subtract, recipe.decode(model), recipe.decode(state.model))
        mean_loss = jnp.sum(jnp.where(lap.participated, loss * counted, 0)) / jnp.sum(counted)
        after = FederationState(
            round=state.round + 1,
            model=model,
            precision=precision,
            losses=clients.put(state.losses, cohort, loss),
            dead=clients.put(state.dead, cohort, dead),
            spent=clients.put(state.spent, cohort, before.spent_joule + lap.energy_joule),
            selector=selector,
            own=memories,
            server=compressor.server.observe(downlink.server, change, mean_loss),
        )
        return after, _results(before._replace(loss=loss, dead=dead), examples, outcome.exchange, lap)

    return jax.jit(run_round, donate_argnums=0, out_shardings=clients.placement(executor))


def _select(stages: Stages, state: FederationState, demands: Demand, key: jax.Array) -> tuple[Precision, Any]:
    """The precision of every registered client, int32 `[N]`, and the selector's new states."""

    def select(id: jax.Array, selector: Any, precision: Precision, demand: Demand, loss: jax.Array):
        own_key = stream(key, Stream.SELECT, state.round, id)
        return stages.selector.select(
            selector, precision, demand, stages.cost_fn, round=state.round, loss=loss, key=own_key
        )

    everyone = jnp.arange(len(state.losses))
    return clients.lift(select, "vmap")((everyone, state.selector, state.precision, demands, state.losses), ())


def _clients_of(
    cohort: jax.Array, stages: Stages, state: FederationState, data: FederatedData, precision: Precision
) -> Client:
    """The clients `[C, ...]` that enter the round, at the precision that each of all `[N]` has selected."""
    of_all = (precision, data.local_data, state.own, state.losses, state.dead, state.spent, data.clocks)
    bits, local_data, memory, loss, dead, spent, clock = clients.take(of_all, cohort)
    return Client(
        id=cohort,
        precision=bits,
        cost=stages.cost_fn(bits),
        local_data=local_data,
        memory=memory,
        loss=loss,
        dead=dead,
        spent_joule=spent,
        clock=clock,
    )


Lift = Callable[[Callable[..., Any]], Lifted]


def _in_one_step(stages: Stages, lift: Lift, cohort: Client, shared: Shared) -> tuple[Outcome, Lap]:
    """Each client trains and sends what it has learned, and is done with it."""

    def train_and_exchange(client: Client, shared: Shared) -> Outcome:
        trained = _train(stages, client, shared)
        return Outcome(communication.exchange(stages, client, trained, shared, ()), trained.loss, trained.dead)

    outcome = lift(train_and_exchange)((cohort,), (shared,))
    return outcome, _time(cohort, outcome.exchange, shared)


def _in_two_steps(stages: Stages, lift: Lift, cohort: Client, shared: Shared) -> tuple[Outcome, Lap]:
    """All train, their `stats` are pooled, all send: the models of the whole cohort are kept in between.

    Only who takes part is pooled. Who that is depends on the sizes of the messages, which are the same whatever the
    pool.
    """

    def stats_of(trained: Any, start: Any) -> Any:
        assert stages.compressor.stats is not None
        return stages.compressor.stats(communication.carried(stages, trained, start))

    def exchange_with(stats: Any) -> Exchange:
        pooled = jax.tree.map(lambda of_each: peak(of_each, axis=0), stats)
        return lift(functools.partial(communication.exchange, stages))((cohort, trained), (shared, pooled))

    trained: Trained = lift(functools.partial(_train, stages))((cohort,), (shared,))
    stats = lift(stats_of)((trained.model,), (shared.downlink.model,))
    lap = _time(cohort, exchange_with(stats), shared)
    exchange = exchange_with(clients.where(lap.participated, stats, jax.tree.map(jnp.zeros_like, stats)))
    return Outcome(exchange, trained.loss, trained.dead), lap


def _train(stages: Stages, client: Client, shared: Shared) -> Trained:
    return stages.local_train(
        shared.downlink.model,
        client.precision,
        client.local_data,
        shared.images,
        client.dead,
        learning_rate=shared.learning_rate,
        key=stream(shared.key, Stream.CLIENT, shared.round, client.id),
    )


def _time(cohort: Client, exchange: Exchange, shared: Shared) -> Lap:
    """The laps of the cohort `[C]`, by what each has trained and exchanged."""

    def lap(client: Client, exchange: Exchange) -> Lap:
        return virtual_clock.lap(
            client=client.id,
            clock=client.clock,
            spent_joule=client.spent_joule,
            cost=client.cost,
            down_bits=travelling_bits(exchange.down_size),
            up_bits=travelling_bits(exchange.up_size),
            key=shared.key,
            round=shared.round,
        )

    return clients.lift(lap, "vmap")((cohort, exchange), ())


def _results(cohort: Client, examples: jax.Array, exchange: Exchange, lap: Lap) -> ClientResults:
    """What is recorded of the cohort after the round: nothing was sent by who did not take part, or not start."""
    uplink = exchange.up_size, exchange.uploaded, exchange.fingerprint
    up_size, uploaded, update = clients.where(lap.participated, uplink, jax.tree.map(jnp.zeros_like, uplink))
    return ClientResults(
        client=cohort.id,
        precision=cohort.precision,
        cost=cohort.cost,
        up_size=up_size,
        down_size=clients.where(lap.started, exchange.down_size, jax.tree.map(jnp.zeros_like, exchange.down_size)),
        uploaded=uploaded,
        examples=examples,
        loss=cohort.loss,
        dead=cohort.dead,
        update=update,
        lap=lap,
        virtual_seconds=virtual_clock.round_s(lap, cohort.clock.deadline_s),
    )

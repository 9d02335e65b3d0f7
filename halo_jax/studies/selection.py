"""Paper, Figs. 4 and 5: what the selector alone does over the rounds, client by client; nothing is trained."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.config import Config, ConfigError
from halo_jax.federation.clients import lift
from halo_jax.runner.build_data import make_demands
from halo_jax.runner.lookup import make_selector
from halo_jax.studies.base import Table, chip_of, network_of, setting
from halo_jax.types import Constraint, Cost, Precision, Stream, stream

_PAPER = {
    "energy": "activations and errors first, then errors",
    "latency": "activations",
    "area": "weights first",
}


class ClientRow(NamedTuple):
    """A client's choice in a round, and its cost per training sample."""

    round: int  # from 1
    client: int  # from 0
    constraint: str
    weights_bits: int
    activations_bits: int
    errors_bits: int
    energy_mj: float
    latency_s: float
    area_mm2: float


class PathRow(NamedTuple):
    """The precisions that the clients of a group go through."""

    group: str
    clients: int
    path: str  # of the first of them
    others: int  # clients of the group that end elsewhere
    over_budget: int  # clients whose last precision costs more than they may
    paper: str  # on HaLo-PS


def study(config: Config) -> dict[str, Table]:
    """Run `config.selector` over all rounds for all clients, in one compiled loop."""
    if config.selector.reduce_when == "plateau":
        raise ConfigError("selector.reduce_when='plateau' follows losses, and a study trains nothing; allowed: others")
    bits, cost = _select_all(config)
    names = [Constraint(number).name.lower() for number in np.asarray(make_demands(config).constraint)]
    rows = [
        ClientRow(round + 1, client, names[client], *(value[round, client] for value in (*bits, *cost)))
        for round, client in np.ndindex(bits.weights.shape)
    ]
    title = f"Precision and cost of every client, {config.selector.name} alone"
    return {"clients": Table(title, rows, shown=False), "paths": _paths(config, rows)}


def _select_all(config: Config) -> tuple[Precision, Cost]:
    """Each round's precision and cost of each client: arrays `[R, N]`."""
    layers, chip = network_of(config).layers, chip_of(config)
    selector, demands, key = make_selector(config), make_demands(config), jax.random.key(config.seed)
    cost_fn = functools.partial(chip.evaluate, layers)
    everyone = jnp.arange(config.num_clients)

    def select(client, precision, state, demand, round):
        own = stream(key, Stream.SELECT, round, client)
        return selector.select(state, precision, demand, cost_fn, round=round, loss=jnp.float32(jnp.inf), key=own)

    def step(carry, round):
        precision, state = lift(select, "vmap")((everyone, *carry, demands), (round,))
        return (precision, state), (precision, cost_fn(precision))

    first = (Precision(*map(jnp.int32, Precision.parse(config.selector.start))), selector.init())
    carry = jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], config.num_clients, axis=0), first)
    _, (bits, cost) = jax.jit(lambda: jax.lax.scan(step, carry, jnp.arange(config.rounds)))()
    return Precision(*map(np.asarray, bits)), Cost(*map(np.asarray, cost))


def _paths(config: Config, rows: Sequence[ClientRow]) -> Table:
    """The precisions of each group's first client, in order, and from which round on."""
    last = {row.client: row for row in rows}
    over = _over_budget(config, list(last.values()))
    paths = []
    for group in dict.fromkeys(row.constraint for row in rows):
        members = [client for client, row in last.items() if row.constraint == group]
        since: dict[str, int] = {}
        for row in rows:
            if row.client == members[0]:
                since.setdefault(str(Precision(*row[3:6])), row.round)
        path = ", ".join(f"{bits} from round {round}" for bits, round in since.items())
        others = sum(last[client][3:6] != last[members[0]][3:6] for client in members)
        paper = _PAPER.get(group, "keeps its precision")
        paths.append(PathRow(group, len(members), path, others, sum(over[client] for client in members), paper))
    return Table(f"{setting(config)}: where {config.selector.name} leads, and what the paper says of HaLo-PS", paths)


def _over_budget(config: Config, last: Sequence[ClientRow]) -> list[bool]:
    """Whether each client's last precision costs more than it may."""
    limits = np.stack(make_demands(config).budget, axis=1)
    return [any(cost > limit for cost, limit in zip(row[6:], limits[row.client], strict=True)) for row in last]

"""What clients own, what goes from round to round, and what a round has found."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.compressors.wire import Size
from halo_jax.federation import clients
from halo_jax.federation.local_data import Images, LocalData
from halo_jax.federation.participants import ClientMemory
from halo_jax.federation.stages import Stages
from halo_jax.federation.virtual_clock import Clock, Lap
from halo_jax.numerics import dead_layers
from halo_jax.types import Cost, Demand, Precision


class FederatedData(NamedTuple):
    """What clients own.

    Attributes:
      images: the resident images, `[D, ...]`.
      local_data: which of them each client has, `[N, M]`.
      num_examples: int32 `[N]`, |D_c|.
      demands: what each client asks of its hardware, `[N]`.
      clocks: what its time and energy depend on, `[N]`.
    """

    images: Images
    local_data: LocalData
    num_examples: jax.Array
    demands: Demand
    clocks: Clock


class FederationState(NamedTuple):
    """Everything that goes from round to round; a checkpoint of it resumes the run, and has these names.

    Attributes:
      round: rounds done, int32 `[]`.
      model: the server's, in the recipe's dtype.
      precision: of each client, int32 `[N]` each, or `[N, L]` for one per layer.
      losses: each client's last training loss, float32 `[N]`; inf before its first round.
      dead: int32 `[N, L, 3]`, for how many steps in a row each tensor has learned nothing, in `dead_layers.KINDS`.
      spent: what each client has taken from its battery, joule, float32 `[N]`.
      selector: the selector's state of each client, `[N, ...]`.
      own: what the compressor keeps of each client, `[N, ...]`.
      server: the compressor's state on the server.
    """

    round: jax.Array
    model: Any
    precision: Precision
    losses: jax.Array
    dead: jax.Array
    spent: jax.Array
    selector: Any
    own: ClientMemory
    server: Any


class ClientResults(NamedTuple):
    """What the cohort's clients did in one round, `[C]` but for `virtual_seconds`.

    A client that did not participate sent nothing: its `up_size` and `update` are 0, `loss` and `dead` as before.

    Attributes:
      client: its id, int32.
      precision: the bits that it trained with.
      cost: of one training sample at that precision.
      up_size: of its message.
      down_size: of all that it was sent; 0 if it did not start.
      uploaded: False where a gate kept the message back.
      examples: how many it has, int32.
      loss: its mean training loss, float32.
      dead: int32 `[C, L, 3]`, after the round.
      update: fingerprint of what the server has received, uint32 `[C, 2]`.
      lap: how long it took, what it spent, and whether it was in time.
      virtual_seconds: how long the round took by the virtual clock, float32 `[]`.
    """

    client: jax.Array
    precision: Precision
    cost: Cost
    up_size: Size
    down_size: Size
    uploaded: jax.Array
    examples: jax.Array
    loss: jax.Array
    dead: jax.Array
    update: jax.Array
    lap: Lap
    virtual_seconds: jax.Array


def init_state(
    model: Any, start: Precision, num_clients: int, stages: Stages, executor: str = "map"
) -> FederationState:
    """The state before the first round (Algorithm 1, lines 4 and 5).

    Args:
      model: the server's first, in the recipe's dtype.
      start: the precision of every client, whole numbers of bits.
      num_clients: N.
      stages: the parts of a round, of which some have states.
      executor: where the state shall live: see `clients.placement`.
    """

    def for_each_client(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.repeat(jnp.asarray(leaf)[None], num_clients, axis=0), tree)

    compressor, weights = stages.compressor, stages.recipe.decode(model)
    nothing_received = jax.tree.map(jnp.zeros_like, weights) if compressor.remembers else ()
    state = FederationState(
        round=jnp.int32(0),
        model=jax.tree.map(jnp.copy, model),  # run_round donates its state
        precision=for_each_client(Precision(*(jnp.int32(bits) for bits in start))),
        losses=jnp.full(num_clients, jnp.inf),
        dead=for_each_client(dead_layers.none_dead(model)),
        spent=jnp.zeros(num_clients),
        selector=for_each_client(stages.selector.init()),
        own=for_each_client(ClientMemory(compressor.init(weights), nothing_received)),
        server=jax.tree.map(jnp.array, compressor.server.init(weights)),
    )
    return clients.place(state, executor)

"""What a round is made of: what each client has of its own, and what the server and all clients share."""

from typing import Any, NamedTuple

import jax

from halo_jax.compressors.wire import Size
from halo_jax.federation.local_data import Images, LocalData
from halo_jax.federation.virtual_clock import Clock
from halo_jax.types import Cost, Precision


class ClientMemory(NamedTuple):
    """What a compressor keeps of one client from round to round; a checkpoint calls its arrays by these names.

    Attributes:
      state: what the client keeps, such as the error of its last message.
      held: what the server last received of the client, if the compressor `remembers`; else nothing.
    """

    state: Any
    held: Any


class Client(NamedTuple):
    """What one client enters a round with; of a cohort every array is stacked, `[C, ...]`.

    Attributes:
      id: int32 `[]`, from 0, the same in every round.
      precision: the bits that it has selected, int32 `[]` each, or `[L]` for one per layer.
      cost: of one training sample at that precision.
      local_data: which images are its own, `[M]`.
      memory: what the compressor keeps of it.
      loss: its mean training loss in the last round that it took part in, float32 `[]`; inf before its first.
      dead: int32 `[L, 3]`, for how many steps in a row each tensor has learned nothing.
      spent_joule: what it has taken from its battery so far, float32 `[]`.
      clock: what its time and energy depend on, beside its precision.
    """

    id: jax.Array
    precision: Precision
    cost: Cost
    local_data: LocalData
    memory: ClientMemory
    loss: jax.Array
    dead: jax.Array
    spent_joule: jax.Array
    clock: Clock


class Downlink(NamedTuple):
    """What the server broadcasts at the start of a round.

    Attributes:
      model: what clients start from, in the recipe's dtype.
      plan: what the compressor's server has decided for this round; clients know it.
      size: of the message that carries the model.
      server: the compressor's new state on the server, which does not travel.
    """

    model: Any
    plan: Any
    size: Size
    server: Any


class Shared(NamedTuple):
    """What all clients of a round share.

    Attributes:
      downlink: what the server has broadcast.
      images: the resident images, among which each client has its own.
      learning_rate: of this round, float32 `[]`.
      key: the run's key; every draw folds in its purpose, the round and the client.
      round: rounds done before this one, int32 `[]`.
    """

    downlink: Downlink
    images: Images
    learning_rate: jax.Array
    key: jax.Array
    round: jax.Array

"""The client axis: who takes part in a round, and the lift of a one-client function over all of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

OneClient = Callable[..., Any]
Lifted = Callable[[tuple, tuple], Any]  # (arguments stacked [C, ...], arguments that all clients share)

CHUNK_SIZE = 20  # Choice: the paper's number of clients, which fits an accelerator at full width
_CLIENTS, _SHARED = PartitionSpec("clients"), PartitionSpec()


def _vmap(one_client: OneClient, chunk_size: int = CHUNK_SIZE) -> Lifted:
    """All clients in every operation at once."""
    return lambda stacked, shared: jax.vmap(lambda *client: one_client(*client, *shared))(*stacked)


def _map(one_client: OneClient, chunk_size: int = CHUNK_SIZE) -> Lifted:
    """One client after the other, in one buffer."""
    return lambda stacked, shared: lax.map(lambda client: one_client(*client, *shared), stacked)


def _chunk(one_client: OneClient, chunk_size: int = CHUNK_SIZE) -> Lifted:
    """At most `chunk_size` clients at a time, in chunks of one size; the last client is repeated to fill them."""

    def lifted(stacked: tuple, shared: tuple) -> Any:
        clients = _count(stacked)
        rows = -(-clients // chunk_size)
        chunks = take(stacked, _padded(clients, rows * -(-clients // rows)).reshape(rows, -1))
        results = lax.map(lambda chunk: _vmap(one_client)(chunk, shared), chunks)
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:clients], results)

    return lifted


def _shard(one_client: OneClient, chunk_size: int = CHUNK_SIZE) -> Lifted:
    """Devices share the clients, the last repeated where they don't divide; a CPU maps over its own, others chunk."""

    def lifted(stacked: tuple, shared: tuple) -> Any:
        clients, devices = _count(stacked), jax.device_count()
        on_each_device = _map if jax.default_backend() == "cpu" else _chunk
        spread = jax.shard_map(
            on_each_device(one_client, chunk_size),
            mesh=_mesh(),
            in_specs=(_CLIENTS, _SHARED),
            out_specs=_CLIENTS,
            check_vma=False,
        )
        size = -(-clients // devices) * devices
        if size == clients:
            return spread(stacked, shared)
        return jax.tree.map(lambda leaf: leaf[:clients], spread(take(stacked, _padded(clients, size)), shared))

    return lifted


def _count(stacked: tuple) -> int:
    return jax.tree.leaves(stacked)[0].shape[0]


def _padded(clients: int, size: int) -> jax.Array:
    return jnp.minimum(jnp.arange(size), clients - 1)


def _mesh() -> Mesh:
    return Mesh(np.array(jax.devices()), ("clients",))


EXECUTORS: dict[str, Callable[..., Lifted]] = {
    "vmap": _vmap,
    "map": _map,
    "chunk": _chunk,
    "shard": _shard,
}


def resolve_executor(
    name: str, backend: str, num_devices: int, cohort_size: int, chunk_size: int = CHUNK_SIZE
) -> tuple[str, str]:
    """What an executor means here, and why: (executor, reason).

    | where | executor | because |
    |---|---|---|
    | several devices (on a CPU: cores) | `shard` | every core is busy, and no kernel is split |
    | one CPU core | `map` | one client's activations stay in cache, memory doesn't grow with clients |
    | one accelerator, up to `chunk_size` clients | `vmap` | few large kernels |
    | one accelerator, more clients | `chunk` | the same within bounded memory |

    Args:
      name: one of EXECUTORS, which stays, or `auto`, which becomes one of them by the table.
      backend: what JAX runs on: `cpu`, `gpu` or `tpu`.
      num_devices: how many devices all processes have together.
      cohort_size: how many clients take part in a round.
      chunk_size: the most clients in one kernel.
    """
    if name != "auto":
        return name, "as configured"
    if num_devices > 1:
        return "shard", f"{cohort_size} clients shared by {num_devices} {'cores' if backend == 'cpu' else 'devices'}"
    if backend == "cpu":
        return "map", "one core: client by client stays in cache"
    if cohort_size <= chunk_size:
        return "vmap", f"all {cohort_size} clients in each kernel"
    return "chunk", f"at most {chunk_size} of {cohort_size} clients in each kernel"


def placement(executor: str) -> NamedSharding | None:
    """Where state and data live: a copy on every device for `shard`, else JAX's default (None)."""
    return NamedSharding(_mesh(), _SHARED) if executor == "shard" else None


def place(tree: Any, executor: str) -> Any:
    """State or data, the same in every process, put where the executor wants them: see `placement`."""
    if jax.process_count() == 1:
        return jax.device_put(tree, placement(executor))
    # device_put would send every array to all processes to compare it, and refuses random keys.
    return jax.jit(lambda same: same, out_shardings=placement(executor))(tree)


def lift(one_client: OneClient, executor: str, chunk_size: int = CHUNK_SIZE) -> Lifted:
    """A function of one client -> `lifted(stacked, shared)` over `[C, ...]`; the same bits on every executor.

    Args:
      one_client: `one_client(*own, *shared)`, in which no array has a client axis. It becomes a call with every
        client's own arguments stacked and the others shared.
      executor: one of EXECUTORS.
      chunk_size: the most clients at a time under `chunk`.

    Raises:
      ValueError: an unknown executor, with the known names.
    """
    if executor not in EXECUTORS:
        raise ValueError(f"executor {executor!r}; known: {', '.join(EXECUTORS)}")
    return EXECUTORS[executor](one_client, chunk_size)


def sample_cohort(key: jax.Array, num_clients: int, cohort_size: int) -> jax.Array:
    """Ids of the round's clients, int32 `[C]`, ascending: uniform without replacement, or all clients."""
    if cohort_size == num_clients:
        return jnp.arange(num_clients)
    return jnp.sort(jax.random.permutation(key, num_clients)[:cohort_size])


def take(per_client: Any, cohort: jax.Array) -> Any:
    """The cohort's entries of arrays stacked over all clients: `[N, ...]` -> `[C, ...]`."""
    return jax.tree.map(lambda leaf: leaf[cohort], per_client)


def where(chosen: jax.Array, values: Any, others: Any) -> Any:
    """`values` `[C, ...]` of the clients that are chosen, bool `[C]`, and `others` of the rest."""
    return jax.tree.map(
        lambda value, other: jnp.where(chosen.reshape(-1, *[1] * (value.ndim - 1)), value, other), values, others
    )


def put(per_client: Any, cohort: jax.Array, values: Any) -> Any:
    """The reverse of `take`: `values` `[C, ...]` written at the cohort's places of `[N, ...]`."""
    return jax.tree.map(lambda leaf, value: leaf.at[cohort].set(value), per_client, values)

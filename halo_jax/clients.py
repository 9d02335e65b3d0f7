"""The client axis: who takes part in a round, and the lift of a one-client function over all of them."""

import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

OneClient = Callable[..., Any]
Lifted = Callable[[tuple, tuple], Any]  # (arguments stacked [C, ...], arguments that all clients share)

_CLIENTS, _SHARED = PartitionSpec("clients"), PartitionSpec()


def _vmap(one_client: OneClient) -> Lifted:
    return lambda stacked, shared: jax.vmap(lambda *client: one_client(*client, *shared))(*stacked)


def _map(one_client: OneClient) -> Lifted:
    return lambda stacked, shared: lax.map(lambda client: one_client(*client, *shared), stacked)


def _shard(one_client: OneClient) -> Lifted:
    """Devices share the clients, each maps over its own; the last client is repeated where they don't divide."""

    def lifted(stacked: tuple, shared: tuple) -> Any:
        devices = jax.device_count()
        clients = jax.tree.leaves(stacked)[0].shape[0]
        ids = jnp.minimum(jnp.arange(-(-clients // devices) * devices), clients - 1)
        spread = jax.shard_map(
            _map(one_client), mesh=_mesh(), in_specs=(_CLIENTS, _SHARED), out_specs=_CLIENTS, check_vma=False
        )
        return take(spread(take(stacked, ids), shared), jnp.arange(clients))

    return lifted


def _mesh() -> Mesh:
    return Mesh(np.array(jax.devices()), ("clients",))


EXECUTORS: dict[str, Callable[[OneClient], Lifted]] = {
    "vmap": _vmap,
    "map": _map,
    "shard": _shard,
}


class DeviceError(ValueError):
    """The platform that was asked for is not there; one line."""


def choose_devices(platform: str | None, num_clients: int) -> None:
    """Start JAX on `platform` (None: the fastest there is), on a CPU with a device per core for clients to share.

    Has an effect only before JAX's first computation. Raises DeviceError if the platform is not there.
    """
    jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, num_clients))
    try:
        if platform:
            jax.config.update("jax_platforms", platform)
        jax.devices()
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise DeviceError(f"platform {platform!r} is not available here: {reason}") from error


def resolve_executor(name: str, backend: str, num_devices: int) -> str:
    """What `auto` means: `shard` over several devices, `map` on one CPU, `vmap` on one accelerator.

    On a CPU one client's activations stay in cache, and small convolutions don't keep two cores busy; an accelerator
    wants few, large kernels.
    """
    if name != "auto":
        return name
    if num_devices > 1:
        return "shard"
    return "map" if backend == "cpu" else "vmap"


def placement(executor: str) -> NamedSharding | None:
    """Where state and data live: a copy on every device for `shard`, else JAX's default (None)."""
    return NamedSharding(_mesh(), _SHARED) if executor == "shard" else None


def lift(one_client: OneClient, executor: str) -> Lifted:
    """A function of one client -> `lifted(stacked, shared)` over `[C, ...]`; the same bits on every executor.

    `one_client(*own, *shared)` becomes a call with every client's own arguments stacked and the others shared.

    Raises:
      ValueError: an unknown executor, with the known names.
    """
    if executor not in EXECUTORS:
        raise ValueError(f"executor {executor!r}; known: {', '.join(EXECUTORS)}")
    return EXECUTORS[executor](one_client)


def sample_cohort(key: jax.Array, num_clients: int, cohort_size: int) -> jax.Array:
    """Ids of the round's clients, int32 `[C]`, ascending: uniform without replacement, or all clients."""
    if cohort_size == num_clients:
        return jnp.arange(num_clients)
    return jnp.sort(jax.random.permutation(key, num_clients)[:cohort_size])


def take(per_client: Any, cohort: jax.Array) -> Any:
    """The cohort's entries of arrays stacked over all clients: `[N, ...]` -> `[C, ...]`."""
    return jax.tree.map(lambda leaf: leaf[cohort], per_client)


def put(per_client: Any, cohort: jax.Array, values: Any) -> Any:
    """The reverse of `take`: `values` `[C, ...]` written at the cohort's places of `[N, ...]`."""
    return jax.tree.map(lambda leaf, value: leaf.at[cohort].set(value), per_client, values)

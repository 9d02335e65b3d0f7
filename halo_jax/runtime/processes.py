"""Several processes as one: joining them, and what they have to do or to know together.

Every process runs the same program on the same data; only process 0, the leader, touches the run folder and the
console. What is said here has to be said by every process, in the same order. With one process nothing is exchanged.
"""

import functools
import hashlib
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from halo_jax.runtime.peer_watch import LOST, watch

JOIN_SECONDS = 120  # Choice: a cluster may start its processes a minute or two apart
SILENCE_SECONDS = 20  # Choice: a process that says nothing for so long is taken for dead
_MESSAGE_BYTES = 2048

Result = TypeVar("Result")


class JoinError(ValueError):
    """What this process was told about the others is incomplete or wrong; one line that says what is right."""


class DistributedError(RuntimeError):
    """The processes do not agree, or another one has failed; one line."""


def start(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Join the other processes, see `join`, as a child of this command, which says why if it is ended: `peer_watch`."""
    check_flags(coordinator, processes, process)
    watch()
    join(coordinator, processes, process)


def check_flags(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Raise JoinError unless all three say who takes part, or none does and the cluster says it."""
    given = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [name for name, value in given.items() if value is None]
    if missing and len(missing) < len(given):
        raise JoinError(f"{' and '.join(missing)} missing; give all of {', '.join(given)}, or none in a cluster")
    host, _, port = (coordinator or "").rpartition(":")
    if coordinator is not None and not (host and port.isdecimal() and 0 < int(port) < 65536):
        raise JoinError(f"--coordinator={coordinator}; allowed: HOST:PORT of process 0")
    if processes is not None and process is not None and process >= processes:
        raise JoinError(f"--process={process}; allowed: 0 to {processes - 1}, as --processes={processes}")


def join(coordinator: str | None, processes: int | None, process: int | None, timeout: int = JOIN_SECONDS) -> None:
    """Join the other processes of this run, before JAX's first computation; all devices of all of them are then there.

    Without arguments the cluster says who they are: Slurm, Open MPI, a TPU pod. From here on the end of one process is
    the end of all; where JAX's C++ ends this one, `peer_watch` says why.

    JAX asks nobody who comes for a password, so process 0 listens on the coordinator's address alone, where JAX would
    listen on all; `JAX_COORDINATOR_BIND_ADDRESS` says another one. In a cluster that names the coordinator itself, JAX
    decides.

    Args:
      coordinator: HOST:PORT of process 0, the port free there.
      processes: how many there are.
      process: which one this is, from 0.
      timeout: seconds to wait for the others.

    Raises:
      JoinError: the arguments are incomplete or wrong, or there is no cluster that says them.
    """
    check_flags(coordinator, processes, process)
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            coordinator_bind_address=os.environ.get("JAX_COORDINATOR_BIND_ADDRESS", coordinator),
            initialization_timeout=timeout,
            heartbeat_timeout_seconds=SILENCE_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        hint = "" if coordinator else "; no cluster says who takes part: give --coordinator, --processes, --process"
        raise JoinError(f"{str(error).partition(chr(10))[0]}{hint}") from error


def leave(status: int) -> None:
    """Exit at once if there are other processes: JAX's own way out would wait for those that are gone."""
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def is_leader() -> bool:
    """Whether this is process 0."""
    return jax.process_index() == 0


def on_leader(action: Callable[[], Result]) -> Result | None:
    """What `action()` returns in process 0, None in the others; if it raises there, every process raises.

    Raises:
      DistributedError: in the others, with the leader's line.
    """
    return _together(action if is_leader() else lambda: None)


def everywhere(action: Callable[[], Result]) -> Result:
    """What `action()` returns in this process; if it raises in one process, every process raises."""
    return _together(action)


def _together(action: Callable[[], Any]) -> Any:
    if jax.process_count() == 1:
        return action()
    result, failure = None, None
    try:
        result = action()
    except Exception as error:  # the others must hear of any
        failure = error
    line = ((str(failure) or type(failure).__name__) if failure else "").encode(errors="replace")
    messages = _gather(np.frombuffer(line[:_MESSAGE_BYTES].ljust(_MESSAGE_BYTES, b"\0"), np.uint8))
    if failure:
        raise failure
    for process, message in enumerate(messages):
        if message.any():
            reason = message.tobytes().rstrip(b"\0").decode(errors="replace")
            raise DistributedError(f"process {process}: {reason}")
    return result


def from_leader(tree: Any) -> Any:
    """The leader's `tree` of arrays, as numpy arrays and to the bit; shapes and dtypes are those of the others' own."""
    if jax.process_count() == 1:
        return tree
    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, tree))
    content = _gather(np.concatenate([leaf.reshape(-1).view(np.uint8) for leaf in leaves]), leader_only=True)
    pieces = np.split(content, np.cumsum([leaf.nbytes for leaf in leaves])[:-1])
    received = [piece.view(leaf.dtype).reshape(leaf.shape) for piece, leaf in zip(pieces, leaves, strict=True)]
    return jax.tree.unflatten(structure, received)


def anywhere(flag: bool) -> bool:
    """Whether `flag` is true in any process."""
    return flag if jax.process_count() == 1 else bool(_gather(np.array([flag], np.uint8)).any())


def require_same(what: str, content: Callable[[], bytes]) -> None:
    """Raise DistributedError in every process unless `content()` is the same in all; `what` names it in the line."""
    if jax.process_count() == 1:
        return
    digests = _gather(np.frombuffer(hashlib.sha256(content()).digest(), np.uint8))
    different = [process for process, digest in enumerate(digests) if (digest != digests[0]).any()]
    if different:
        raise DistributedError(
            f"{what} of process {different[0]} differs from that of process 0; it has to be the same"
        )


def _gather(mine: np.ndarray, leader_only: bool = False) -> np.ndarray:
    """The bytes `mine` `[K]` of every process, uint8 `[P, K]`, or of the leader, `[K]`, by each one's first device."""
    sharding, program = _program(leader_only)
    try:
        return np.array(program(jax.make_array_from_process_local_data(sharding, mine[None])))
    except (ValueError, jax.errors.JaxRuntimeError) as error:  # JAX raises the loss of a peer as either
        raise DistributedError(f"{LOST} ({str(error).partition(chr(10))[0]})") from error


@functools.cache
def _program(leader_only: bool) -> tuple[NamedSharding, Callable]:
    first = {device.process_index: device for device in reversed(jax.devices())}
    mesh = Mesh(np.array([first[process] for process in sorted(first)]), ("process",))
    replicated = NamedSharding(mesh, PartitionSpec())

    def pick(rows: jax.Array) -> jax.Array:
        return rows[0] if leader_only else rows

    return NamedSharding(mesh, PartitionSpec("process")), jax.jit(pick, out_shardings=replicated)

"""What an update compressor is: pure functions, written for one client, and what the server does around them.

In a round the server broadcasts, every client of the cohort trains and compresses, the server decompresses, averages
and observes. `federation` calls the functions in that order and lifts those of a client over the cohort.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.flatten_util
import jax.numpy as jnp

from halo_jax.compressors.codings import Codes
from halo_jax.types import Precision


class Context(NamedTuple):
    """What a client and the server both know about the client's message."""

    client: jax.Array  # its id, int32 []
    round: jax.Array  # rounds done before this one, int32 []
    precision: Precision  # the bits it trained with
    loss: jax.Array  # its mean training loss in this round, float32 [], which it reports
    shared: jax.Array  # a random key of both ends: dither, rotations
    plan: Any = ()  # what the server decided for this round
    pooled: Any = ()  # maxima of `stats` over the cohort
    last_received: Any = ()  # what the server keeps of this client's last message, if the compressor `remembers`


class Upload(NamedTuple):
    """What `compress` returns."""

    message: Any  # a tree of `Codes` and arrays of 32-bit numbers
    state: Any  # the client's new state
    nominal_bits: Any  # what the paper's formula counts, int32 []
    sent: Any = True  # False: nothing but one flag bit travels
    extra_down_bits: Any = 0  # what this client is sent beside the broadcast
    whole_down_bits: Any = 0  # it had missed rounds: so many bits of the whole model in place of the broadcast message


class Broadcast(NamedTuple):
    """What the server sends: float weights that clients start from, the message that carries them, its nominal bits."""

    weights: Any
    message: Any
    nominal_bits: Any
    state: Any  # the server's new state
    plan: Any = ()


class Server(NamedTuple):
    """What the server does for a compressor beside averaging; every part may be left out.

    Attributes:
      init: float weights -> the server's state.
      plan: the server's state -> the round's `Context.plan`, where the model itself is broadcast.
      broadcast: (float weights, state, key) -> Broadcast; None sends the model as it is.
      weigh: (examples float32 `[C]`, the clients' new states `[C, ...]`) -> weights `[C]` of the average; None weighs
        by examples (Eq. 1).
      observe: (state, change of the float weights, mean training loss) -> state, at the end of a round.
    """

    init: Callable[[Any], Any] = lambda weights: ()
    plan: Callable[[Any], Any] = lambda state: ()
    broadcast: Callable[[Any, Any, jax.Array], Broadcast] | None = None
    weigh: Callable[[jax.Array, Any], jax.Array] | None = None
    observe: Callable[[Any, Any, jax.Array], Any] = lambda state, change, loss: state


class Compressor(NamedTuple):
    """A rival system, or a part of one.

    Attributes:
      compress: (x, state, context, key) -> Upload. `key` is the client's own; the server cannot draw from it.
      decompress: (message, like, context) -> x as the server rebuilds it, in shapes and dtypes of `like`.
      init: float weights -> a client's state.
      carries: what x is. `update`: trained minus received float weights; `weights`: the trained float weights;
        `model`: the trained model in the recipe's own dtype (int8 codes for `wage`), averaged exactly.
      stats: x -> sizes >= 0 that are pooled over the cohort by their maximum before anyone compresses.
      view: float weights -> what the forward pass sees of them (gradients go straight through).
      remembers: the server keeps what it last received of each client, and averages over all registered clients.
      feedback: whether `error_feedback` may wrap it: False where it has a memory or adds noise on purpose, or where its
        error is larger than x, so that a memory of it would grow.
      client_bits: whether it compresses clients with bits of their own, beside those that they train with.
      server: what the server does beside averaging.
    """

    compress: Callable[[Any, Any, Context, jax.Array], Upload]
    decompress: Callable[[Any, Any, Context], Any]
    init: Callable[[Any], Any] = lambda weights: ()
    carries: Literal["update", "weights", "model"] = "update"
    stats: Callable[[Any], Any] | None = None
    view: Callable[[Any], Any] | None = None
    remembers: bool = False
    feedback: bool = True
    server: Server = Server()
    client_bits: bool = False


Scope = Literal["tensor", "flat"]


def tensors_of(x: Any, scope: Scope = "tensor") -> list[jax.Array]:
    """The tensors that share a scale: each leaf of `x` alone, or (`flat`) all of them as one vector."""
    return jax.tree.leaves(x) if scope == "tensor" else [jax.flatten_util.ravel_pytree(x)[0]]


def rebuild(tensors: Sequence[jax.Array], like: Any, scope: Scope = "tensor") -> Any:
    """The reverse of `tensors_of`, in the shapes and dtypes of `like`."""
    leaves, structure = jax.tree.flatten(like)
    if scope == "flat":
        ends = [sum(leaf.size for leaf in leaves[: i + 1]) for i in range(len(leaves) - 1)]
        tensors = jnp.split(tensors[0], ends)
    return structure.unflatten(
        [tensor.reshape(leaf.shape).astype(leaf.dtype) for tensor, leaf in zip(tensors, leaves, strict=True)]
    )


def draws(key: jax.Array, like: Sequence[jax.Array]) -> list[jax.Array]:
    """Uniform numbers in [0, 1) of 23 bits, one for each element: levels may be as rare as 1 in sqrt(d)."""
    sizes = [tensor.size for tensor in like]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    flat = jnp.split(jax.random.uniform(key, (sum(sizes),)), ends)
    return [uniform.reshape(tensor.shape) for uniform, tensor in zip(flat, like, strict=True)]


def peak(x: jax.Array, axis: int | None = None) -> jax.Array:
    """max |x_i|, 0 of nothing; NaN if any element is not finite: on a CPU a maximum alone may pass over a NaN."""
    return jnp.max(jnp.abs(x), axis, initial=0.0) + jnp.sum(0 * x, axis)


def positive(scale: jax.Array) -> jax.Array:
    """A scale by which one can divide: 1 in place of 0. NaN stays, so that a client that diverged is seen to."""
    return jnp.where(scale == 0, 1.0, scale)


def size_of(x: Any) -> int:
    """d: the number of elements of all tensors."""
    return sum(leaf.size for leaf in jax.tree.leaves(x))


def whole_model(model: Any, bits: int) -> Any:
    """The model itself as a message: codes of `bits` bits, or float32."""
    if not _is_of_integers(model):
        return model
    return Codes(jax.tree.map(lambda leaf: leaf.astype(jnp.int32) + 2 ** (bits - 1), model), 2**bits)


def model_of(message: Any, like: Any, bits: int) -> Any:
    """The reverse of `whole_model`."""
    if not _is_of_integers(like):
        return message
    return jax.tree.map(lambda code, leaf: (code - 2 ** (bits - 1)).astype(leaf.dtype), message.values, like)


def _is_of_integers(model: Any) -> bool:
    return all(jnp.issubdtype(leaf.dtype, jnp.integer) for leaf in jax.tree.leaves(model))

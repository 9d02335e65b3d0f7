"""LAQ: a client sends by how much its gradient has changed, in few bits, and nothing if that is little.

With h what the server holds of the client, R = max|g - h| and b bits, the codes are
c = floor((2^b - 1) ((g - h) / R + 1) / 2 + 1/2), and the server then holds Q = h + R (2 c / (2^b - 1) - 1):
|Q - g| <= R / (2^b - 1). The model moves by the mean of all that is held, stale or not. A message is skipped where
||Q - h||^2 <= sum_d xi_d ||W^(k+1-d) - W^(k-d)||^2 + 3 (||Q - g||^2 + ||Q' - g'||^2), d = 1..10, primes for the
client's last upload, unless the client has skipped too often in a row.

Sources: Sun, Chen, Giannakis, Yang, NeurIPS 2019 (arXiv 1909.07588); TPAMI, doi 10.1109/TPAMI.2020.3033286.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, Server, Upload, peak, positive, rebuild, size_of
from halo_jax.compressors.codings import Codes
from halo_jax.parameters import real, whole

CHANGES = 10  # D
SLACK = 0.8  # the sum of xi_d in the paper's experiments
MOST_BITS = 8


class Lazy(NamedTuple):
    """What a client keeps: ||Q - g||^2 of its last upload, float32 [], and how many it has skipped since, int32 []."""

    error: jax.Array
    skips: jax.Array


def laq(
    *,
    bits: Annotated[int, whole(1, 8)] = 4,
    slack: Annotated[float, real(0, 1e6)] = 1.0,
    max_skips: Annotated[int, whole(0)] = 100,
) -> Compressor:
    """b = `bits`, 1..8; xi_d = 0.08 `slack`, where 0 skips by the error terms alone; `max_skips` >= 0 in a row.

    # Paper: g is the gradient of one step, and the threshold is divided by (step size x clients)^2.
    # Choice: g is the update of local training; its mean is added at step size 1, so that the divisor is 1.

    Args:
      bits: b of an element that is sent.
      slack: how readily an upload is skipped; 0: by its error terms alone.
      max_skips: uploads in a row that may be skipped.

    Bits: 32 + b d for an upload, nothing for a skip; 32 for the sum over d come with the model.
    """
    if bits not in range(1, MOST_BITS + 1):
        raise ValueError(f"laq: bits={bits}; allowed: 1 to {MOST_BITS}")
    if not 0 <= slack < float("inf"):
        raise ValueError(f"laq: slack={slack}; allowed: 0 or a positive number")
    if max_skips < 0:
        raise ValueError(f"laq: max_skips={max_skips}; allowed: 0 or a whole number above")
    top = 2**bits - 1

    def init(weights):
        # As if it had skipped as often as it may: the first message always travels.
        del weights
        return Lazy(jnp.float32(0), jnp.int32(max_skips))

    def compress(x, state, context, key):
        del key
        news = [g - h for g, h in zip(jax.tree.leaves(x), jax.tree.leaves(context.last_received), strict=True)]
        radius = peak(jnp.stack(list(map(peak, news))))
        message = Codes([_nearest(new, radius) for new in news], top + 1), radius
        moves = innovation(message)
        error = _square([move - new for move, new in zip(moves, news, strict=True)])
        little = _square(moves) <= context.plan + 3 * (error + state.error)
        skip = little & (state.skips < max_skips)
        kept = Lazy(jnp.where(skip, state.error, error), jnp.where(skip, state.skips + 1, 0))
        return Upload(message, kept, 32 + bits * size_of(x), sent=~skip, extra_down_bits=32)

    def decompress(message, like, context):
        return jax.tree.map(jnp.add, context.last_received, rebuild(innovation(message), like))

    def _nearest(new, radius):
        code = jnp.floor((new / positive(radius) + 1) * (top / 2) + 0.5)
        return jnp.clip(code, 0, top).astype(jnp.int32)

    def innovation(message):
        """Q - h; the codes 0 and 2^b - 1 stand for -R and R exactly."""
        codes, radius = message
        return [(2 * code - top) / top * radius for code in codes.values]

    def plan(changes):
        return slack * SLACK / CHANGES * jnp.sum(changes)

    def observe(changes, change, loss):
        del loss
        return jnp.concatenate([_square(jax.tree.leaves(change))[None], changes[:-1]])

    server = Server(init=lambda weights: jnp.zeros(CHANGES), plan=plan, observe=observe)
    return Compressor(compress, decompress, init, remembers=True, server=server)


def _square(tensors: list[jax.Array]) -> jax.Array:
    return sum((jnp.sum(jnp.square(tensor)) for tensor in tensors), jnp.float32(0))

"""Top-k: the k largest elements of the update and their places; the rest waits in the memory of error feedback.

T(x) keeps x_i where |x_i| is among the k largest of all d and is 0 elsewhere: ||x - T(x)||^2 <= (1 - k/d) ||x||^2.

Sources: Stich, Cordonnier, Jaggi, NeurIPS 2018 (arXiv 1809.07599); Alistarh et al., NeurIPS 2018 (arXiv 1809.10505).
There x is a step on one minibatch, here the update of a whole round.
"""

from typing import Annotated

import jax
import jax.numpy as jnp
from jax import lax

from halo_jax.compressors.base import Compressor, Upload, rebuild, size_of, tensors_of
from halo_jax.compressors.codings import Codes
from halo_jax.compressors.error_feedback import error_feedback
from halo_jax.parameters import real

_BLOCK = 64  # elements that are counted together when the kept ones are gathered


def topk(*, share: Annotated[float, real(0, 1, above=True)] = 0.01) -> Compressor:
    """`largest` with error feedback: k = max(1, round(share d)) of all d elements travel, 0 < share <= 1.

    Args:
      share: of the numbers that travel.

    Bits: k (32 + ceil(log2 d)).
    """
    return error_feedback(largest(share=share))


def largest(*, share: float = 0.01) -> Compressor:
    """The k = max(1, round(share d)) largest elements, without memory: biased.

    Bits: k (32 + ceil(log2 d)).
    """
    if not 0 < share <= 1:
        raise ValueError(f"topk: share={share}; allowed: 0 < share <= 1")

    def compress(x, state, context, key):
        del context, key
        (flat,), size = tensors_of(x, "flat"), size_of(x)
        k = max(1, round(share * size))
        places = _places_of_largest(flat, k)
        message = flat[places], Codes(places, size, coding="places")
        return Upload(message, state, k * (32 + (size - 1).bit_length()))

    def decompress(message, like, context):
        del context
        kept, places = message
        return rebuild([jnp.zeros(size_of(like)).at[places.values].set(kept)], like, "flat")

    return Compressor(compress, decompress)


def _places_of_largest(flat: jax.Array, k: int) -> jax.Array:
    """Where the k largest |x| are; of equal ones the first. No sort: the k-th largest is found bit by bit."""
    sizes = lax.bitcast_convert_type(jnp.abs(flat.astype(jnp.float32)), jnp.int32)  # ordered as |x| is

    def add_bit(step, least):
        larger = least | (1 << (30 - step))
        return jnp.where(jnp.sum(sizes >= larger, dtype=jnp.int32) >= k, larger, least)

    least = lax.fori_loop(0, 31, add_bit, jnp.int32(0))
    return _first(jnp.concatenate([sizes > least, sizes == least]), k) % flat.size


def _first(mask: jax.Array, k: int) -> jax.Array:
    """The places of the first k true elements, of which there are at least k: their block, then their place in it."""
    rows = jnp.pad(mask, (0, -mask.size % _BLOCK)).reshape(-1, _BLOCK)
    ends = jnp.cumsum(jnp.sum(rows, axis=1, dtype=jnp.int32))
    ranks = jnp.arange(1, k + 1)
    block = jnp.searchsorted(ends, ranks)
    row = rows[block]
    rank_in_block = ranks - ends[block] + jnp.sum(row, axis=1, dtype=jnp.int32)
    reached = jnp.cumsum(row, axis=1, dtype=jnp.int32) >= rank_in_block[:, None]
    return block * _BLOCK + jnp.argmax(reached, axis=1)

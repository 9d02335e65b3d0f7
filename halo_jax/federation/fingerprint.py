"""Fingerprints of arrays: equal ones have equal fingerprints on any device, and different ones practically never.

They are made where the arrays are, so that a round can tell what each client sent without sending it to the host.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_SEEDS = (0x9E3779B9, 0x85EBCA6B)  # one per half of the 64 bits; any odd numbers


def fingerprint(tree: Any) -> jax.Array:
    """64 bits of all arrays of a tree, uint32 `[2]`: every bit of every value and its place count.

    Each value is hashed with its place in the tree, and the hashes are added modulo 2^32, in any order. Values are
    numbers of up to 32 bits.
    """
    total, start = jnp.zeros(2, jnp.uint32), 0
    for leaf in jax.tree.leaves(tree):
        words = _words(jnp.asarray(leaf)).reshape(-1)
        places = jnp.arange(start, start + words.size, dtype=jnp.uint32)
        hashes = [_mix(words ^ _mix(places * jnp.uint32(seed) + jnp.uint32(seed))) for seed in _SEEDS]
        total, start = total + jnp.stack([h.sum(dtype=jnp.uint32) for h in hashes]), start + words.size
    return total


def as_text(words: Any) -> str:
    """A fingerprint as 16 hexadecimal digits."""
    high, low = np.asarray(words)
    return f"{high:08x}{low:08x}"


def _words(values: jax.Array) -> jax.Array:
    if values.dtype == jnp.float32:
        return lax.bitcast_convert_type(values, jnp.uint32)
    if values.dtype == jnp.uint32:
        return values
    return values.astype(jnp.int32).astype(jnp.uint32)


def _mix(words: jax.Array) -> jax.Array:
    """The finaliser of MurmurHash3 (Appleby, public domain): every bit in changes half of the bits out."""
    words = (words ^ (words >> 16)) * jnp.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * jnp.uint32(0xC2B2AE35)
    return words ^ (words >> 16)

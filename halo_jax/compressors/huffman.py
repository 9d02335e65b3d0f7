"""Huffman's code of whole numbers: as short as a code can be that gives each its own bits."""

import heapq
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_NEVER = np.int32(2**31 - 1)  # the weight of what is not there


def huffman_lengths(counts: Sequence[int] | np.ndarray) -> list[int]:
    """The code length of each symbol, on the host: 0 for one that never occurs, 1 for one that is alone."""
    lengths = [0] * len(counts)
    heap: list[tuple[int, int, tuple[int, ...]]] = [
        (int(count), symbol, (symbol,)) for symbol, count in enumerate(counts) if count > 0
    ]
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:
        (few, tie, rarest), (more, _, next_rarest) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in rarest + next_rarest:
            lengths[symbol] += 1
        heapq.heappush(heap, (few + more, tie, rarest + next_rarest))
    return lengths


def huffman_total(counts: jax.Array) -> jax.Array:
    """The length of a message with those counts `[K]` of its codes, inside jit: sum of n_k times its code's length.

    It is the sum of the weights of all nodes that Huffman's algorithm makes. They never fall, so that the two lightest
    are always first in one of two queues: codes by how often they occur, and nodes in the order in which they are made.
    """
    codes = jnp.append(jnp.sort(jnp.where(counts > 0, counts, _NEVER)), _NEVER)
    kinds = jnp.sum(counts > 0)

    def lightest(at: jax.Array, nodes: jax.Array) -> tuple[jax.Array, jax.Array]:
        code, node = codes[at[0]], nodes[at[1]]
        return jnp.minimum(code, node), at + jnp.where(code <= node, jnp.array([1, 0]), jnp.array([0, 1]))

    def merge(made: jax.Array, carry: Any) -> Any:
        at, nodes, total = carry
        few, at = lightest(at, nodes)
        more, at = lightest(at, nodes)
        return at, nodes.at[made].set(few + more), total + few + more

    start = jnp.zeros(2, jnp.int32), jnp.full(codes.shape, _NEVER), jnp.int32(0)
    total = lax.fori_loop(0, kinds - 1, merge, start)[2]
    return jnp.where(kinds == 1, jnp.sum(counts), total).astype(jnp.int32)


def canonical(lengths: Sequence[int]) -> dict[int, str]:
    """The canonical code of those lengths: symbol -> its bits as text."""
    codes, code, before = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - before
        codes[symbol] = f"{code:0{length}b}"
        code, before = code + 1, length
    return codes

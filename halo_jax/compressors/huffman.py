"""Huffman's code of whole numbers: as short as a code can be that gives each its own bits, on the host."""

import heapq
from collections.abc import Sequence

import numpy as np


def huffman_lengths(counts: Sequence[int] | np.ndarray) -> list[int]:
    """The code length of each symbol in Huffman's code, 0 for one that never occurs, 1 for one that is alone."""
    lengths = [0] * len(counts)
    heap: list[tuple[int, int, tuple[int, ...]]] = [
        (int(count), symbol, (symbol,)) for symbol, count in enumerate(counts) if count > 0
    ]
    if len(heap) == 1:
        lengths[heap[0][1]] = 1
    heapq.heapify(heap)
    while len(heap) > 1:
        (few, tie, left), (more, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in left + right:
            lengths[symbol] += 1
        heapq.heappush(heap, (few + more, tie, left + right))
    return lengths


def canonical(lengths: Sequence[int]) -> dict[int, str]:
    """The canonical code of those lengths: symbol -> its bits as text."""
    codes, code, before = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - before
        codes[symbol] = f"{code:0{length}b}"
        code, before = code + 1, length
    return codes

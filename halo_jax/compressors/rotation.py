"""The random rotation of DRIVE and EDEN: Rx = H D x / sqrt(n), D random signs and H the Hadamard matrix of side n.

It makes the elements of any vector nearly normal with the same variance ||x||^2 / n, which is what the quantisers that
follow are made for. R is orthogonal, and both ends draw the same D.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

SIDE = 4096


def chunks(d: int) -> tuple[int, int]:
    """(number, n) of the vectors that d elements are rotated in: n = 4096, or the next power of two of a smaller d.

    # Choice: chunks in place of one rotation of 2^ceil(log2 d) elements, which would send up to twice as many.
    """
    side = min(SIDE, 1 << max(d - 1, 0).bit_length())
    return -(-d // side), side


def rotate(flat: jax.Array, key: jax.Array) -> jax.Array:
    """R of each chunk of `[d]`, the last one filled up with zeros: `[chunks, n]`."""
    number, side = chunks(flat.size)
    filled = jnp.pad(flat, (0, number * side - flat.size)).reshape(number, side)
    return _hadamard(filled * _signs(key, number, side))


def rotate_back(rotated: jax.Array, key: jax.Array, d: int) -> jax.Array:
    """The reverse of `rotate`: `[chunks, n]` -> `[d]`."""
    return (_hadamard(rotated) * _signs(key, *rotated.shape)).reshape(-1)[:d]


def _signs(key: jax.Array, number: int, side: int) -> jax.Array:
    """+-1 `[number, side]`, 32 of them from each random word."""
    words = jax.random.bits(key, (-(-number * side // 32), 1))
    negative = (words >> jnp.arange(32, dtype=words.dtype)) & 1
    return (1 - 2 * negative.astype(jnp.float32)).reshape(-1)[: number * side].reshape(number, side)


def _hadamard(rows: jax.Array) -> jax.Array:
    """H x / sqrt(n) of rows: H_n is the Kronecker product of H_a and H_b, n = a b, so a row X `[a, b]` is H_a X H_b.

    Two products with matrices of side 64 at most, at full float32 precision on every platform.
    """
    number, side = rows.shape
    power = side.bit_length() - 1
    h_a, h_b = _matrix(power // 2), _matrix(power - power // 2)
    square = rows.reshape(number, len(h_a), len(h_b))
    square = jnp.matmul(square, h_b, precision=lax.Precision.HIGHEST)
    return jnp.matmul(h_a, square, precision=lax.Precision.HIGHEST).reshape(number, side)


@functools.lru_cache
def _matrix(power: int) -> np.ndarray:
    """The orthogonal Hadamard matrix of side 2^power, by Sylvester's doubling."""
    matrix = np.ones((1, 1), np.float32)
    for _ in range(power):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / np.float32(2 ** (power / 2))

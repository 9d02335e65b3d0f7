"""A smooth curve through a table of counts: equal to it at whole bits, monotone where it is, with one slope at each."""

import jax
import jax.numpy as jnp
import numpy as np


def interpolate(table: np.ndarray, bits: jax.Array) -> jax.Array:
    """The monotone cubic through each layer's counts at 1, 2, 3, ... bits.

    Between knots, t from the one below, this is Hermite's cubic through counts c0, c1 with slopes m0, m1,

        c(t) = c0 + t (m0 + t (3 rise - 2 m0 - m1 + t (m0 + m1 - 2 rise))),    rise = c1 - c0

    A knot's slope is the harmonic mean of the slopes beside it, 0 where they differ in sign or one is 0.

    Args:
      table: `[L, 1 + most]`, counts at 0 to `most` bits.
      bits: real numbers `[..., L]`, from 1 to `most`.

    Returns:
      Counts, float32 `[..., L]`.

    Source: Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5 (1984).
    """
    slopes = jnp.asarray(_slopes(table), jnp.float32).ravel()
    counts = jnp.asarray(table, jnp.float32).ravel()
    most = table.shape[1] - 1
    knot = jnp.clip(jnp.floor(bits), 1, most - 1)  # the knot below
    t = bits - knot
    entry = knot.astype(jnp.int32) + np.arange(len(table), dtype=np.int32) * table.shape[1]
    low, high = counts[entry], counts[entry + 1]
    rise = high - low
    m0, m1 = slopes[entry], slopes[entry + 1]
    return low + t * (m0 + t * (3 * rise - 2 * m0 - m1 + t * (m0 + m1 - 2 * rise)))


def _slopes(table: np.ndarray) -> np.ndarray:
    """The slope at each number of bits, float64, the shape of the table. At 0 bits unused."""
    rises = np.diff(table.astype(np.float64), axis=1)[:, 1:]  # from 1 bit on
    before, after = rises[:, :-1], rises[:, 1:]
    same_way = before * after > 0
    inner = np.divide(2 * before * after, before + after, out=np.zeros_like(before), where=same_way)
    return np.concatenate([rises[:, :1], rises[:, :1], inner, rises[:, -1:]], axis=1)

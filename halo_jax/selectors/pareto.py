"""The Pareto front: the points of which no other is better in everything."""

import chex
import jax
import jax.numpy as jnp


def pareto_front(values: jax.Array) -> jax.Array:
    """Which of the points `[K, M]`, M numbers each that shall all be low, are on the front: bool `[K]`.

    A point is off the front if some other is at least as low in every number and lower in one; equal points stay
    together. Takes K * K * M comparisons.
    """
    values = jnp.asarray(values)
    chex.assert_rank(values, 2)
    point, other = values[:, None], values[None, :]
    return ~((other <= point).all(-1) & (other < point).any(-1)).any(1)

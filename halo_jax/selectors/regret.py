"""How far the greedy path of HaLo-PS is from the best precisions of as many reductions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.selectors.base import CostFn
from halo_jax.selectors.grid import bit_grid
from halo_jax.selectors.reduction import best_reduction, constrained
from halo_jax.types import Constraint, Precision


class Regret(NamedTuple):
    """Greedy and best after 0, 1, 2, ... reductions; every field `[n]`, costs of the constrained metric."""

    greedy: Precision
    greedy_cost: jax.Array
    best: Precision
    best_cost: jax.Array
    regret: jax.Array  # greedy_cost / best_cost - 1, not negative


def greedy_path(cost_fn: CostFn, constraint: Constraint, *, start: Precision, floor: Precision, step: int) -> Precision:
    """What `halo_ps` takes with `min_gain=0`, one reduction after the other, from `start` down to the floor.

    Args:
      cost_fn: precision -> cost, all that is known of the hardware.
      constraint: whose metric each reduction lowers most; not NONE.
      start: the bits before any reduction, Python ints.
      floor: the fewest bits, Python ints.
      step: bits that one reduction takes away.

    Returns:
      The precisions after 0, 1, 2, ... reductions, int32 `[n]`.
    """
    first = jnp.array([int(bits) for bits in start], jnp.int32)

    def reduce(bits: jax.Array, _: Any) -> tuple[jax.Array, jax.Array]:
        lowered, _gain = best_reduction(bits, cost_fn, constrained(jnp.int32(constraint)), floor, step)
        return lowered, lowered

    length = sum((high - low) // step for high, low in zip(start, floor, strict=True))
    _, path = jax.lax.scan(reduce, first, None, length=length)
    return Precision(*jnp.concatenate([first[None], path]).T)


def regret(cost_fn: CostFn, constraint: Constraint, *, start: Precision, floor: Precision, step: int) -> Regret:
    """Hold the greedy path against the least metric of all precisions that are as many reductions of `step` below.

    A path of single best reductions need not pass through the best precision of n reductions; here is by how much it
    misses. Pure and jittable.

    Args:
      cost_fn: precision -> cost, all that is known of the hardware.
      constraint: whose metric counts; not NONE.
      start: the bits before any reduction, Python ints.
      floor: the fewest bits, Python ints.
      step: bits that one reduction takes away.
    """

    def metric(precision: Precision) -> jax.Array:
        return constrained(jnp.int32(constraint))(cost_fn(precision))

    greedy = greedy_path(cost_fn, constraint, start=start, floor=floor, step=step)
    grid = bit_grid(start, floor, step)
    depth = sum((high - bits) // step for high, bits in zip(start, grid, strict=True))
    costs = metric(Precision(*map(jnp.asarray, grid)))
    same_depth = depth == np.arange(len(greedy.weights))[:, None]
    best = jnp.argmin(jnp.where(same_depth, costs, jnp.inf), axis=1)
    greedy_cost, best_cost = metric(greedy), costs[best]
    chosen = Precision(*(jnp.asarray(bits)[best] for bits in grid))
    return Regret(greedy, greedy_cost, chosen, best_cost, jnp.maximum(greedy_cost / best_cost - 1, 0))

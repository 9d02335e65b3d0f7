"""HaLo-PS for clients that want several metrics low at once: each counts by its weight."""

from collections.abc import Sequence
from typing import Annotated

import chex
import jax
import jax.numpy as jnp

from halo_jax.numerics.rounding import rounded
from halo_jax.parameters import real, whole
from halo_jax.selectors.base import CostFn, Selector
from halo_jax.selectors.pacing import Pace
from halo_jax.selectors.reduction import best_reduction, in_rounds
from halo_jax.types import Cost, Demand, Precision


def weighted(
    *,
    floor: Precision,
    step: Annotated[int, whole(1, 6)] = 2,
    min_gain: Annotated[float, real(0, 1)] = 0.01,
    reduce_rounds: Sequence[int] | Pace,
) -> Selector:
    """Lower one of the three bit widths by `step`: the one that lowers a weighted mix of the metrics most.

    As `halo_ps`, but the metric of a candidate is

        sum over m in energy, latency, area of weights[m] * cost_m(candidate) / cost_m(current)

    with `demand.weights` [3], not negative, of which only the ratios count: a gain is a fraction of their sum. Without
    any weight the client keeps its precision. Weights (1, 0, 0) are `halo_ps` under Constraint.ENERGY, bit for bit.
    Constraint and budget of the demand are not used. Costs are above 0.

    Args:
      floor: lowest bits that it may pick.
      step: bits that one reduction takes away.
      min_gain: smallest relative gain worth a reduction; 0 is Algorithm 1 to the letter.
      reduce_rounds: the rounds that reduce, from 1, or a pace.
    """

    def lower(bits: jax.Array, demand: Demand, cost_fn: CostFn, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        weights = jnp.asarray(demand.weights, jnp.float32)
        chex.assert_shape(weights, (3,))
        lowered, gain = best_reduction(bits, cost_fn, lambda costs: _mix(costs, weights), floor, step)
        return lowered, (weights.max() > 0) & (gain >= min_gain)

    return in_rounds(reduce_rounds, lower)


def _mix(costs: Cost, weights: jax.Array) -> jax.Array:
    """The mixed metric `[1 + K]` in units of the heaviest one, so that a metric alone passes through unrounded."""
    values = jnp.stack(costs)
    heaviest = jnp.argmax(weights)
    factors = jnp.where(weights > 0, weights / weights[heaviest] * (values[heaviest, 0] / values[:, 0]), 0)
    return rounded(factors[:, None] * values).sum(0)

"""The exhaustive selector: the finest precision that the client's own budgets allow, of all there are."""

from typing import Any

import chex
import jax
import jax.numpy as jnp

from halo_jax.selectors.base import CostFn, Selector
from halo_jax.selectors.grid import best_within, bit_grid
from halo_jax.types import Demand, Precision


def exhaustive(*, start: Precision, floor: Precision) -> Selector:
    """The precision of least quantisation noise, of all whole bit widths from `floor` to `start`, within the budgets.

    minimise 4^-bw + 4^-ba + 4^-be  subject to  cost_m(bw, ba, be) <= budget_m  for energy, latency and area

    with `demand.budget` in mJ, s and mm2, inf where there is no limit; limits are above 0. Equal noise: the least
    max(cost / budget), equal if within 1e-5; then errors give up bits before activations before weights. If nothing
    is within the budgets: the least max(cost / budget), the least noise among equals. Without budgets it is `start`.
    The answer depends on neither the round nor the current precision, the constraint (clients of Constraint.NONE keep
    to their budgets too) or the weights, so bits may also rise.

    Args:
      start: most bits that it may pick.
      floor: lowest bits that it may pick.

    Raises:
      ValueError: a floor above the start.
    """
    grid = bit_grid(start, floor)

    def select(
        state: Any,
        precision: Precision,
        demand: Demand,
        cost_fn: CostFn,
        *,
        round: jax.Array,
        loss: jax.Array,
        key: jax.Array,
    ) -> tuple[Precision, Any]:
        chex.assert_rank(list(precision), 0)
        candidates = Precision(*map(jnp.asarray, grid))
        best = best_within(candidates, cost_fn(candidates), demand.budget)
        return Precision(*(bits[best] for bits in candidates)), state

    return Selector(init=lambda: (), select=select)

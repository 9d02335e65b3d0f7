"""A control for HaLo-PS: as many reductions in the same rounds, but drawn by lot."""

from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp

from halo_jax.parameters import whole
from halo_jax.selectors.base import CostFn, Selector
from halo_jax.selectors.pacing import Pace
from halo_jax.selectors.reduction import in_rounds, reductions
from halo_jax.types import Constraint, Demand, Precision


def random(*, floor: Precision, step: Annotated[int, whole(1, 6)] = 2, reduce_rounds: Sequence[int] | Pace) -> Selector:
    """Lower one of the three bit widths by `step`, uniformly drawn among those that stay at or above `floor`.

    Draws with `key` in the rounds of `reduce_rounds`, counted from 1, or at that pace, without a look at costs: what a
    selector that prices hardware gains over this one is the worth of its prices. A client keeps its precision under
    Constraint.NONE, and once all three are at their floor. Budget and weights of the demand are not used.

    Args:
      floor: lowest bits that it may pick.
      step: bits that one reduction takes away.
      reduce_rounds: the rounds that reduce, from 1, or a pace.
    """

    def lower(bits: jax.Array, demand: Demand, cost_fn: CostFn, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        candidates, allowed = reductions(bits, floor, step)
        drawn = jnp.argmax(jnp.where(allowed, jax.random.uniform(key, allowed.shape), -1))
        return candidates[drawn], (demand.constraint != Constraint.NONE) & allowed.any()

    return in_rounds(reduce_rounds, lower)

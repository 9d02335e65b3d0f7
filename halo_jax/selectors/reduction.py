"""One step down: the three precisions that one reduction can reach, and which of them lowers a metric most."""

from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.selectors.base import CostFn, Selector
from halo_jax.selectors.grid import TIE
from halo_jax.selectors.pacing import Pace, in_listed
from halo_jax.types import Cost, Demand, Precision

ERRORS_FIRST = np.array([2, 1, 0])  # candidate k lowers this entry of (bw, ba, be): the order of ties

Lower = Callable[[jax.Array, Demand, CostFn, jax.Array], tuple[jax.Array, jax.Array]]


def in_rounds(reduce_rounds: Sequence[int] | Pace, lower: Lower) -> Selector:
    """A selector that takes a reduction in some rounds: those that are listed, counted from 1, or as a pace says.

    `lower(bits [3], demand, cost_fn, key) -> (lowered bits [3], taken [])` offers one; in other rounds, and where it
    isn't taken, the client keeps its precision. The state is the pace's.
    """
    pace = reduce_rounds if isinstance(reduce_rounds, Pace) else in_listed(reduce_rounds)

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
        chex.assert_rank([*precision, demand.constraint, round, loss], 0)
        bits = jnp.stack([jnp.asarray(field, jnp.int32) for field in precision])
        lowered, taken = lower(bits, demand, cost_fn, key)
        due, state = pace.due(state, round, loss)
        taken &= due
        state = jax.tree.map(lambda new, old: jnp.where(taken, new, old), pace.reduced(state), state)
        return Precision(*jnp.where(taken, lowered, bits)), state

    return Selector(init=pace.init, select=select)


def reductions(bits: jax.Array, floor: Precision, step: int) -> tuple[jax.Array, jax.Array]:
    """Candidates `[3, 3]`, each one entry of `bits` `[3]` lower by `step`, errors first; which stay at their floor."""
    allowed = bits[ERRORS_FIRST] - step >= np.array(floor, np.int32)[ERRORS_FIRST]
    lowered = bits - step * np.eye(3, dtype=np.int32)[ERRORS_FIRST]
    return jnp.where(allowed[:, None], lowered, bits), allowed


def best_reduction(
    bits: jax.Array, cost_fn: CostFn, metric: Callable[[Cost], jax.Array], floor: Precision, step: int
) -> tuple[jax.Array, jax.Array]:
    """One step down: of the precisions that one reduction can reach, the one of lowest metric.

    Among candidates within 1e-5 of the lowest, errors go before activations before weights.

    Args:
      bits: int32 `[3]`, the current widths of weights, activations and errors.
      cost_fn: precision -> cost, all that is known of the hardware.
      metric: costs `[1 + K]`, the current precision's first -> what shall be low, `[1 + K]`.
      floor: the fewest bits, Python ints.
      step: bits that one reduction takes away.

    Returns:
      The candidate int32 `[3]`, and its gain 1 - metric / current metric, float32 `[]`; -inf if the floor allows none.
    """
    # Choice: ties, as parts in a million would decide otherwise; Table II's energy clients start with errors.
    candidates, allowed = reductions(bits, floor, step)
    costs = cost_fn(Precision(*jnp.stack([bits, *candidates], axis=1)))  # one call: [1 + K]
    chex.assert_shape(list(costs), (1 + len(candidates),))
    value = metric(costs)
    reduced = jnp.where(allowed, value[1:], jnp.inf)
    best = jnp.argmax(reduced <= reduced.min() * (1 + TIE))
    return candidates[best], 1 - reduced[best] / value[0]


def constrained(constraint: jax.Array) -> Callable[[Cost], jax.Array]:
    """The metric that a constraint names; NONE reads energy, for callers that then don't use it."""
    return lambda costs: jnp.stack(costs)[jnp.maximum(constraint, 1) - 1]

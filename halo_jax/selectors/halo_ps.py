"""HaLo-PS, the paper's precision selector: Algorithm 1, lines 9 to 18, for one client."""

from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.selectors.base import CostFn, Selector
from halo_jax.types import Constraint, Demand, Precision

TIE = 1e-5  # metrics this close, relatively, are equal: energies of 8-8-6 and 8-6-8 differ by 5e-7 to 5e-6
ERRORS_FIRST = np.array([2, 1, 0])  # candidate k lowers this entry of (bw, ba, be): the order of ties


def halo_ps(*, floor: Precision, step: int, min_gain: float, reduce_rounds: Sequence[int]) -> Selector:
    """Lower one of the three bit widths by `step`: the one that lowers the constrained metric most.

    In the rounds of `reduce_rounds`, counted from 1, the candidates (bw-step, ba, be), (bw, ba-step, be) and
    (bw, ba, be-step) whose lowered entry stays at or above `floor` are priced. The lowest metric wins; among
    those within 1e-5 of it errors go before activations before weights. The client takes the winner if that
    lowers the metric by at least the fraction `min_gain`; otherwise, and under Constraint.NONE, it keeps its
    precision. Budget and weights of the demand are not used. Source: Algorithm 1, lines 9 to 18.
    """
    rounds = np.array(reduce_rounds, np.int32)

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
        chex.assert_rank([*precision, demand.constraint, round], 0)
        bits = jnp.stack([jnp.asarray(field, jnp.int32) for field in precision])
        lowered, gain = _best_reduction(bits, demand.constraint, cost_fn, floor, step)
        taken = (demand.constraint != Constraint.NONE) & (round + 1 == rounds).any() & (gain >= min_gain)
        return Precision(*jnp.where(taken, lowered, bits)), state

    return Selector(init=lambda: (), select=select)


def reduction_rounds(rounds: int, reduce_every: int, reduce_rounds: Sequence[int]) -> tuple[int, ...]:
    """The rounds, counted from 1, in which clients may lower their precision: for `halo_ps`.

    The first one given decides: `reduce_rounds` as listed; `reduce_every`, the rounds it divides, so that 1
    is Algorithm 1 to the letter; neither, after 35 % and 70 % of the rounds, that is 36 and 71 of 100.
    """
    # Paper: Algorithm 1 lowers in every round, but Table II's averages need a few, late reductions.
    # Choice: two of them by default.
    if reduce_rounds:
        return tuple(sorted(set(reduce_rounds)))
    if reduce_every:
        return tuple(range(reduce_every, rounds + 1, reduce_every))
    return tuple(sorted({rounds * percent // 100 + 1 for percent in (35, 70)}))


def _best_reduction(
    bits: jax.Array, constraint: jax.Array, cost_fn: CostFn, floor: Precision, step: int
) -> tuple[jax.Array, jax.Array]:
    """The winning candidate's bits [3] and its relative gain, -inf where the floor allows none."""
    # Choice: ties, as parts in a million would decide otherwise; Table II's energy clients start with errors.
    allowed = bits[ERRORS_FIRST] - step >= np.array(floor, np.int32)[ERRORS_FIRST]
    lowered = bits - step * np.eye(3, dtype=np.int32)[ERRORS_FIRST]
    candidates = jnp.where(allowed[:, None], lowered, bits)
    costs = cost_fn(Precision(*jnp.stack([bits, *candidates], axis=1)))  # one call: [1 + K]
    chex.assert_shape(list(costs), (1 + len(candidates),))
    metric = jnp.stack(costs)[jnp.maximum(constraint, Constraint.ENERGY) - Constraint.ENERGY]
    reduced = jnp.where(allowed, metric[1:], jnp.inf)
    best = jnp.argmax(reduced <= reduced.min() * (1 + TIE))
    return candidates[best], 1 - reduced[best] / metric[0]

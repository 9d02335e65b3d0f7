"""HaLo-PS, the paper's precision selector: Algorithm 1, lines 9 to 18, for one client."""

from collections.abc import Sequence
from typing import Annotated

import jax

from halo_jax.parameters import real, whole
from halo_jax.selectors.base import CostFn, Selector
from halo_jax.selectors.pacing import Pace
from halo_jax.selectors.reduction import best_reduction, constrained, in_rounds
from halo_jax.types import Constraint, Demand, Precision


def halo_ps(
    *,
    floor: Precision,
    step: Annotated[int, whole(1, 6)] = 2,
    min_gain: Annotated[float, real(0, 1)] = 0.01,
    reduce_rounds: Sequence[int] | Pace,
) -> Selector:
    """Lower one of the three bit widths by `step`: the one that lowers the constrained metric most.

    In the rounds of `reduce_rounds`, counted from 1, or at that pace, the candidates (bw-step, ba, be),
    (bw, ba-step, be) and (bw, ba, be-step) whose lowered entry stays at or above `floor` are priced. The lowest metric
    wins; among those within 1e-5 of it errors go before activations before weights. The client takes the winner if that
    lowers the metric by at least the fraction `min_gain`; otherwise, and under Constraint.NONE, it keeps its
    precision. Budget and weights of the demand are not used. Source: Algorithm 1, lines 9 to 18.

    Args:
      floor: lowest bits that it may pick.
      step: bits that one reduction takes away.
      min_gain: smallest relative gain worth a reduction; 0 is Algorithm 1 to the letter.
      reduce_rounds: the rounds that reduce, from 1, or a pace.
    """

    def lower(bits: jax.Array, demand: Demand, cost_fn: CostFn, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        lowered, gain = best_reduction(bits, cost_fn, constrained(demand.constraint), floor, step)
        return lowered, (demand.constraint != Constraint.NONE) & (gain >= min_gain)

    return in_rounds(reduce_rounds, lower)


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

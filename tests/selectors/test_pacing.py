"""Plateaus: never while the loss falls, always once it has not for the patience, and never below the floor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.selectors import halo_ps, in_listed, on_plateau
from halo_jax.types import Constraint, Cost, Demand, Precision

ROUNDS, PATIENCE, GAIN, FLOOR = 40, 3, 0.05, 4
DEMAND = Demand(jnp.int32(Constraint.ENERGY), Cost(*jnp.full(3, jnp.inf)), jnp.ones(3))
LOSSES = st.floats(0.125, 8, width=32)


def cost_fn(precision: Precision) -> Cost:
    return Cost(*(3 * [precision.weights + 2.0 * precision.activations + 4.0 * precision.errors]))


def scan_of(all_take_part: bool):
    """A compiled loop: losses `[R]` that a client reports, its bits `[R]` added up."""
    pace = on_plateau(PATIENCE, GAIN, all_take_part=all_take_part)
    selector = halo_ps(floor=Precision(FLOOR, FLOOR, FLOOR), step=2, min_gain=0.0, reduce_rounds=pace)

    def step(carry, now):
        precision, state = carry
        round, loss = now
        carry = selector.select(state, precision, DEMAND, cost_fn, round=round, loss=loss, key=jax.random.key(0))
        return carry, sum(carry[0])

    start = (Precision(*jnp.full(3, 8, jnp.int32)), selector.init())
    return jax.jit(lambda losses: jax.lax.scan(step, start, (jnp.arange(ROUNDS), losses))[1])


RUN = {all_take_part: scan_of(all_take_part) for all_take_part in (True, False)}


def reductions(losses: list[float], *, all_take_part: bool = True) -> list[int]:
    """The rounds, from 0, in which the client reduces; it reports no loss in the first, and infinity after the last."""
    reported = np.full(ROUNDS, np.inf, np.float32)
    reported[1 : len(losses) + 1] = losses
    total = np.asarray(RUN[all_take_part](reported))
    assert total.min() >= 3 * FLOOR
    assert set(np.diff([24, *total])) <= {0, -2}
    return np.flatnonzero(np.diff([24, *total])).tolist()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.floats(0.5, 0.9375, width=32), min_size=ROUNDS - 1, max_size=ROUNDS - 1))
def test_never_while_the_loss_falls(factors):
    assert reductions(np.cumprod(factors).tolist()) == []


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(LOSSES, min_size=ROUNDS - 1, max_size=ROUNDS - 1))
def test_as_a_client_with_paper_and_pencil_would(losses):
    """Every loss but the first at a precision is compared with the best at it; three without gain, and bits go."""
    expected, best, stale, left = [], np.inf, 0, 6
    for round, loss in enumerate(losses, start=1):
        if np.float32(loss) < np.float32(best) * np.float32(1 - GAIN):
            best, stale = loss, 0
        else:
            stale += 1
        if stale >= PATIENCE and left:
            expected.append(round)
            best, stale, left = np.inf, 0, left - 1
    assert reductions(losses) == expected


def test_always_after_the_patience_of_a_loss_that_stays_until_the_floor():
    assert reductions([1.0] * 39) == [4, 8, 12, 16, 20, 24]  # six steps of 2 from 8-8-8 to 4-4-4
    assert reductions([1.0, 0.96, 0.96, 0.955]) == [4]  # less than the gain below the best


def test_losses_that_are_not_finite_do_not_count():
    assert reductions([1.0, 1.0, 1.0]) == []  # and then infinity
    assert reductions([np.nan] * 39) == []


def test_a_round_of_rest_counts_only_where_all_take_part():
    rested = [1.0, 1.0, 1.0, 1.0, 1.125, 1.125, 1.25, 1.25, 1.5]
    assert reductions(rested) == [4, 8]
    assert reductions(rested, all_take_part=False) == [9]


@pytest.mark.parametrize("rounds", [(), (1, 4)])
def test_listed_rounds_have_no_state(rounds):
    pace = in_listed(rounds)
    assert pace.init() == ()
    assert [round + 1 for round in range(6) if pace.due((), jnp.int32(round), jnp.float32(1))[0]] == list(rounds)

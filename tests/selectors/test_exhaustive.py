import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.selectors import exhaustive
from halo_jax.types import Constraint, Cost, Demand, Precision
from tests.selectors.made_up_costs import price, random_budget, random_chip, stack

START, FLOOR = Precision(8, 7, 8), Precision(3, 4, 5)
POINTS = list(itertools.product(range(3, 9), range(4, 8), range(5, 9)))
SELECT = exhaustive(start=START, floor=FLOOR).select


def select(budget, cost_fn, constraint=Constraint.NONE, precision=(4, 4, 5)):
    demand = Demand(jnp.int32(constraint), budget, jnp.zeros(3))
    bits = Precision(*map(jnp.int32, precision))
    key = jax.random.key(0)
    return SELECT((), bits, demand, cost_fn, round=jnp.int32(3), loss=jnp.float32(1), key=key)[0]


def by_hand(costs, budget):
    """The best of POINTS, one by one: overshoot, then noise; None where several are equal in both."""
    rows = []
    for point, *cost in zip(POINTS, *costs, strict=True):
        over = [float(np.float32(c) / limit) for c, limit in zip(cost, budget, strict=True)]
        fits = all(c <= limit for c, limit in zip(cost, budget, strict=True))
        rows.append((0.0 if fits else max(over), sum(4.0**-bits for bits in point), point))
    least = min(row[0] for row in rows)
    near = [row for row in rows if row[0] <= least * (1 + 1e-5)]
    noise = min(row[1] for row in near)
    return {row[2] for row in near if row[1] == noise}


def test_it_is_the_brute_force_optimum_for_many_chips_and_budgets_in_one_call():
    rng = np.random.default_rng(0)
    chips = [random_chip(rng) for _ in range(60)]
    ends = [[price(chip, Precision(*map(jnp.int32, bits))) for bits in (FLOOR, START)] for chip in chips]
    budgets = [random_budget(rng, *pair) for pair in ends]
    one = lambda chip, budget: select(budget, lambda p: price(chip, p))  # noqa: E731
    found = np.stack(jax.jit(jax.vmap(one))(stack(chips), stack(budgets)), axis=1)
    grid = Precision(*(jnp.array(column) for column in zip(*POINTS, strict=True)))
    some_fit = 0
    for chip, budget, bits in zip(chips, budgets, found.tolist(), strict=True):
        costs = [np.asarray(metric) for metric in price(chip, grid)]
        assert tuple(bits) in by_hand(costs, budget)
        some_fit += any(all(c[k] <= b for c, b in zip(costs, budget, strict=True)) for k in range(len(POINTS)))
    assert 20 < some_fit < 60


def test_without_a_budget_all_bits_stay_whatever_they_were():
    chip = random_chip(np.random.default_rng(1))
    none = Cost(*(jnp.float32(jnp.inf),) * 3)
    for constraint in Constraint:
        assert tuple(map(int, select(none, lambda p: price(chip, p), constraint))) == tuple(START)


def test_equal_noise_goes_to_the_lower_cost_and_then_errors_give_up_first():
    flat = lambda p: Cost(*(0.0 * p.weights + 1.0 * (p.weights + p.activations + p.errors),) * 3)  # noqa: E731
    budget = Cost(jnp.float32(22.0), jnp.float32(jnp.inf), jnp.float32(jnp.inf))
    assert tuple(map(int, select(budget, flat))) == (8, 7, 7)
    dear = lambda p: flat(p)._replace(energy_mj=1.0 * p.weights + p.activations + 2.0 * p.errors)  # noqa: E731
    tight = budget._replace(energy_mj=jnp.float32(30.0))
    assert tuple(map(int, select(tight, dear))) == (8, 7, 7)


def test_a_floor_above_the_start_is_refused():
    with pytest.raises(ValueError, match="floor"):
        exhaustive(start=Precision(4, 4, 4), floor=Precision(2, 6, 2))

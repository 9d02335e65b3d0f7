"""Greedy reductions against the best of as many."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.hardware import PLATFORMS
from halo_jax.selectors import halo_ps
from halo_jax.selectors.regret import greedy_path, regret
from halo_jax.types import Constraint, Cost, Demand, Precision
from tests.golden.vgg7_shapes import VGG7

START, FLOOR = Precision(8, 8, 8), Precision(2, 4, 4)
RANGE = {"start": START, "floor": FLOOR, "step": 2}


def separable(p: Precision) -> Cost:
    w, a, e = (jnp.asarray(bits, jnp.float32) for bits in p)
    return Cost(w + 3 * a + 2 * e, 2 * a + e, 5 * w + e)


def deceiving(p: Precision) -> Cost:
    """Energy of errors falls a little at once, that of weights only at 4 bits, and then by far the most."""
    w, a, e = (jnp.asarray(bits, jnp.float32) for bits in p)
    energy = 20 + e + jnp.where(w > 4, 0.1 * w, 0.0) + jnp.where(w > 4, 10.0, 0.0) + 0.01 * a
    return Cost(energy, a, w)


def brute_force(cost_fn, metric: int, depth: int) -> float:
    """The least metric of all precisions so many reductions below the start, one by one."""
    points = itertools.product(range(2, 9, 2), range(4, 9, 2), range(4, 9, 2))
    at_depth = [p for p in points if (24 - sum(p)) // 2 == depth]
    return min(float(cost_fn(Precision(*map(jnp.int32, p)))[metric]) for p in at_depth)


@pytest.mark.parametrize("constraint", [Constraint.ENERGY, Constraint.LATENCY, Constraint.AREA])
@pytest.mark.parametrize("cost_fn", [separable, deceiving])
def test_the_best_is_the_brute_force_best_of_every_depth(cost_fn, constraint):
    found = jax.jit(lambda: regret(cost_fn, constraint, **RANGE))()
    assert found.regret.shape == (8,)
    for depth, (best, greedy) in enumerate(zip(found.best_cost, found.greedy_cost, strict=True)):
        assert float(best) == pytest.approx(brute_force(cost_fn, constraint - 1, depth), rel=1e-6)
        assert float(greedy) >= float(best) * (1 - 1e-6)
        for bits in (found.best, found.greedy):
            assert (24 - sum(int(field[depth]) for field in bits)) // 2 == depth


def test_greedy_is_best_where_costs_are_separable_and_not_where_they_deceive():
    assert float(regret(separable, Constraint.ENERGY, **RANGE).regret.max()) == 0
    found = regret(deceiving, Constraint.ENERGY, **RANGE)
    assert tuple(int(bits[1]) for bits in found.greedy) == (8, 8, 6)
    assert float(found.regret[2]) == pytest.approx(float(found.greedy_cost[2]) / brute_force(deceiving, 0, 2) - 1)
    assert float(found.regret[2]) > 0.2


def test_the_path_is_what_halo_ps_does_round_after_round():
    chip = PLATFORMS["halosim"]("calibrated")
    cost_fn = lambda p: chip.evaluate(VGG7["cifar10"], p)  # noqa: E731
    select = halo_ps(floor=FLOOR, step=2, min_gain=0.0, reduce_rounds=range(1, 9)).select
    for constraint in (Constraint.ENERGY, Constraint.LATENCY, Constraint.AREA):
        path = np.stack(greedy_path(cost_fn, constraint, **RANGE), axis=1).tolist()
        demand = Demand(jnp.int32(constraint), Cost(*(jnp.inf,) * 3), jnp.ones(3))
        precision, walked = Precision(*map(jnp.int32, START)), []
        step = jax.jit(
            lambda p, r, demand=demand: select((), p, demand, cost_fn, round=r, loss=jnp.inf, key=jax.random.key(0))[0]
        )
        for round in range(8):
            walked.append([int(bits) for bits in precision])
            precision = step(precision, jnp.int32(round))
        assert path == walked


@pytest.mark.slow
@pytest.mark.parametrize("data_set", VGG7)
def test_on_the_papers_chip_greedy_is_the_best_and_on_a_physical_one_nearly(data_set):
    worst = {}
    for device in ("calibrated", "physical"):
        chip = PLATFORMS["halosim"](device)
        cost_fn = lambda p, chip=chip: chip.evaluate(VGG7[data_set], p)  # noqa: E731
        for constraint in (Constraint.ENERGY, Constraint.LATENCY, Constraint.AREA):
            found = jax.jit(lambda c=constraint, f=cost_fn: regret(f, c, **RANGE))()
            worst[device, constraint.name] = float(found.regret.max())
    assert max(worst["calibrated", name] for name in ("ENERGY", "LATENCY", "AREA")) < 1e-4
    assert 0.02 < worst["physical", "ENERGY"] < 0.08

"""One precision per layer against every combination there is, on real layers and on made-up chips."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.hardware import halosim
from halo_jax.selectors import bit_grid, layer_costs, per_layer, quantisation_noise
from halo_jax.types import Cost, Precision
from tests.golden.vgg7_shapes import VGG7
from tests.selectors.made_up_costs import price, random_chip

CANDIDATES = bit_grid(Precision(8, 8, 8), Precision(4, 4, 4), 2)  # 27
NOISE = np.asarray(quantisation_noise(CANDIDATES), np.float64)


def brute_force(costs: Cost, budget: Cost, importance) -> float:
    """The least noise of all combinations of candidates within the budget; inf if there is none."""
    layers, kinds = costs.energy_mj.shape
    every = np.array(list(itertools.product(range(kinds), repeat=layers)))
    total = [sum(np.asarray(m, np.float32)[layer, every[:, layer]] for layer in range(layers)) for m in costs]
    fits = np.all([t <= np.float32(limit) for t, limit in zip(total, budget, strict=True)], axis=0)
    noise = (NOISE[every] * importance).sum(1)
    return noise[fits].min() if fits.any() else np.inf


def instances(seed: int, count: int):
    """(costs, budget, importance) of three layers: of VGG7 on HaLoSim, and of made-up chips, in turns."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        if index % 2:
            chips = [random_chip(rng) for _ in range(3)]
            costs = layer_costs([lambda p, c=chip: price(c, p) for chip in chips], CANDIDATES)
        else:
            layers = [VGG7["cifar10"][i] for i in sorted(rng.choice(8, 3, replace=False))]
            costs = layer_costs([lambda p, one=one: halosim.evaluate((one,), p) for one in layers], CANDIDATES)
        ends = [(np.min(m, 1).sum(), np.max(m, 1).sum()) for m in map(np.asarray, costs)]
        limits = [low + rng.uniform(0.02, 0.9) * (high - low) for low, high in ends]
        kept = rng.random(3) < 0.6
        kept[rng.integers(3)] = True
        budget = Cost(*(np.float32(limit if keep else np.inf) for limit, keep in zip(limits, kept, strict=True)))
        yield costs, budget, rng.choice([0.5, 1.0, 3.0], 3).astype(np.float32)


@pytest.fixture(scope="module")
def answers():
    solve = jax.jit(lambda costs, budget, importance: per_layer(costs, CANDIDATES, budget, importance=importance))
    return [(*one, solve(*one)) for one in instances(seed=0, count=40)]


@pytest.mark.slow
def test_it_is_the_optimum_or_within_a_percent_of_it_and_its_bound_holds(answers):
    distances = []
    for costs, budget, importance, found in answers:
        best = brute_force(costs, budget, importance)
        if np.isinf(best):
            continue
        assert bool(found.feasible)
        assert float(found.bound) <= best * (1 + 1e-6)
        distances.append(float(found.noise) / best - 1)
    assert len(distances) > 25
    assert np.median(distances) < 1e-6
    assert np.mean(distances) < 0.01
    assert max(distances) < 0.05


def test_cost_noise_and_feasibility_are_those_of_the_choice(answers):
    rows = np.stack(CANDIDATES, axis=1).tolist()
    for costs, budget, importance, found in answers:
        chosen = [rows.index(bits) for bits in np.stack(found.precision, axis=1).tolist()]
        for metric, total in zip(costs, found.cost, strict=True):
            values = [np.float32(np.asarray(metric)[layer, k]) for layer, k in enumerate(chosen)]
            assert np.float32(values[0] + values[1]) + values[2] == np.float32(total)
        np.testing.assert_allclose(float(found.noise), (NOISE[chosen] * importance).sum(), rtol=1e-6)
        assert bool(found.feasible) == all(float(c) <= float(b) for c, b in zip(found.cost, budget, strict=True))


@pytest.mark.slow
def test_many_budgets_in_one_call_are_one_by_one():
    layers = VGG7["cifar10"][1:4]
    costs = layer_costs([lambda p, one=one: halosim.evaluate((one,), p) for one in layers], CANDIDATES)
    most = np.asarray(costs.energy_mj).max(1).sum()
    energy = jnp.asarray(most * np.array([0.3, 0.5, 0.8, 1.1]), jnp.float32)
    solve = jax.jit(lambda limit: per_layer(costs, CANDIDATES, Cost(limit, jnp.float32(jnp.inf), jnp.float32(jnp.inf))))
    together = jax.jit(jax.vmap(solve))(energy)
    assert (np.diff(together.noise) <= 0).all()
    for index, limit in enumerate(energy):
        alone = solve(limit)
        jax.tree.map(lambda a, b, i=index: np.testing.assert_array_equal(a[i], b), together, alone)
    assert [int(bits) for bits in together.precision.weights[3]] == [8, 8, 8]


def test_nothing_fits_is_said_and_overshoots_least():
    costs = layer_costs([lambda p, one=one: halosim.evaluate((one,), p) for one in VGG7["emnist"][:3]], CANDIDATES)
    limit = Cost(jnp.float32(1e-9), jnp.float32(jnp.inf), jnp.float32(jnp.inf))
    found = jax.jit(lambda: per_layer(costs, CANDIDATES, limit))()
    assert not bool(found.feasible)
    assert np.isinf(found.bound)
    assert float(found.cost.energy_mj) == pytest.approx(float(costs.energy_mj.min(1).sum()))

"""The search along slopes lands where brute force does, on every platform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.hardware import PLATFORMS
from halo_jax.selectors.gradient_search import gradient_search
from halo_jax.selectors.grid import best_within, bit_grid
from halo_jax.types import Cost, Precision
from tests.golden.vgg7_shapes import VGG7
from tests.selectors.made_up_costs import price, random_budget, random_chip, stack

START, FLOOR = Precision(8, 8, 8), Precision(2, 2, 2)
BUDGETS = 12


def budgets(cost_fn, seed: int) -> Cost:
    """Limits between the cost of the floor and that of the start, some of them absent."""
    rng = np.random.default_rng(seed)
    low, high = (np.array(cost_fn(Precision(*map(jnp.int32, bits)))) for bits in (FLOOR, START))
    limits = low + (high - low) * rng.uniform(0.02, 1, (BUDGETS, 3))
    limits[rng.random((BUDGETS, 3)) < 0.4] = np.inf
    return Cost(*jnp.asarray(limits.T, jnp.float32))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "device", "data_set"),
    [
        ("halosim", "calibrated", "cifar10"),
        ("halosim", "physical", "cifar10"),
        ("bit_serial", "stripes_45nm", "emnist"),
    ],
)
def test_it_lands_on_the_brute_force_optimum_of_the_uniform_grid(name, device, data_set):
    chip = PLATFORMS[name](device)
    relaxed, exact = (lambda p, r=r: chip.evaluate(VGG7[data_set], p, relaxed=r) for r in (True, False))
    limits = budgets(exact, seed=len(data_set))
    search = jax.jit(jax.vmap(lambda budget: gradient_search(relaxed, budget, start=START, floor=FLOOR)))
    grid = Precision(*map(jnp.asarray, bit_grid(START, FLOOR)))
    costs = jax.jit(exact)(grid)
    best = jax.jit(jax.vmap(lambda budget: best_within(grid, costs, budget)))(limits)
    for found, bits in zip(search(limits), grid, strict=True):
        assert found.dtype == jnp.int32
        np.testing.assert_array_equal(found, bits[best])


def test_it_lands_there_on_made_up_chips_that_rise_in_steps_many_in_one_call():
    rng = np.random.default_rng(0)
    chips = [random_chip(rng) for _ in range(50)]
    limits = stack([random_budget(rng, price(chip, FLOOR), price(chip, START)) for chip in chips for _ in range(2)])
    both = stack([chip for chip in chips for _ in range(2)])
    search = lambda chip, budget: gradient_search(lambda p: price(chip, p), budget, start=START, floor=FLOOR)  # noqa: E731
    grid = Precision(*map(jnp.asarray, bit_grid(START, FLOOR)))
    best = jax.jit(jax.vmap(lambda chip, budget: best_within(grid, price(chip, grid), budget)))(both, limits)
    for found, bits in zip(jax.jit(jax.vmap(search))(both, limits), grid, strict=True):
        np.testing.assert_array_equal(found, bits[best])


def test_one_search_alone_is_the_same():
    chip = random_chip(np.random.default_rng(1))
    limits = Cost(*(jnp.linspace(*ends, 4) for ends in zip(price(chip, FLOOR), price(chip, START), strict=True)))
    search = jax.jit(lambda budget: gradient_search(lambda p: price(chip, p), budget, start=START, floor=FLOOR))
    together = jax.jit(jax.vmap(search))(limits)
    for k in range(4):
        alone = search(Cost(*(limit[k] for limit in limits)))
        assert tuple(map(int, alone)) == tuple(int(bits[k]) for bits in together)


def test_without_budgets_all_bits_stay_and_without_room_it_overshoots_least():
    cost_fn = lambda p: Cost(p.weights * p.activations + p.errors, p.activations * 2.0, p.weights * 3.0)  # noqa: E731
    none = Cost(*(jnp.float32(jnp.inf),) * 3)
    assert tuple(map(int, gradient_search(cost_fn, none, start=START, floor=FLOOR))) == (8, 8, 8)
    tight = none._replace(area_mm2=jnp.float32(1))
    assert int(gradient_search(cost_fn, tight, start=START, floor=FLOOR).weights) == 2

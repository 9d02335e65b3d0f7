"""The search along slopes lands where brute force does, on every platform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.hardware import PLATFORMS
from halo_jax.selectors.gradient_search import gradient_search
from halo_jax.selectors.grid import best_within, bit_grid, quantisation_noise
from halo_jax.types import Cost, Precision
from tests.golden.vgg7_shapes import VGG7

START, FLOOR = Precision(8, 8, 8), Precision(2, 2, 2)
BUDGETS = 12


def budgets(cost_fn, seed: int) -> Cost:
    """Limits between the cost of the floor and that of the start, some of them absent."""
    rng = np.random.default_rng(seed)
    low, high = (np.array(cost_fn(Precision(*map(jnp.int32, bits)))) for bits in (FLOOR, START))
    limits = low + (high - low) * rng.uniform(0.02, 1, (BUDGETS, 3))
    limits[rng.random((BUDGETS, 3)) < 0.4] = np.inf
    return Cost(*jnp.asarray(limits.T, jnp.float32))


@pytest.mark.parametrize(
    ("name", "device", "data_set"),
    [
        ("halosim", "calibrated", "cifar10"),
        ("halosim", "calibrated", "emnist"),
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


def test_without_budgets_all_bits_stay_and_without_room_it_overshoots_least():
    cost_fn = lambda p: Cost(p.weights * p.activations + p.errors, p.activations * 2.0, p.weights * 3.0)  # noqa: E731
    none = Cost(*(jnp.float32(jnp.inf),) * 3)
    assert tuple(map(int, gradient_search(cost_fn, none, start=START, floor=FLOOR))) == (8, 8, 8)
    tight = none._replace(area_mm2=jnp.float32(1))
    assert int(gradient_search(cost_fn, tight, start=START, floor=FLOOR).weights) == 2


def test_noise_falls_when_a_budget_grows():
    chip = PLATFORMS["halosim"]("calibrated")
    relaxed = lambda p: chip.evaluate(VGG7["cifar10"], p, relaxed=True)  # noqa: E731
    unlimited = jnp.full(12, jnp.inf)
    limits = Cost(jnp.linspace(0.15, 1.8, 12), unlimited, unlimited)
    found = jax.jit(jax.vmap(lambda b: gradient_search(relaxed, b, start=START, floor=FLOOR)))(limits)
    assert (np.diff(quantisation_noise(found)) <= 0).all()

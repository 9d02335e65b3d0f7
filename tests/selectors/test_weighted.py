import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.selectors import halo_ps, weighted
from halo_jax.types import Constraint, Cost, Demand, Precision
from tests.selectors.made_up_costs import price, random_chip, stack

OPTIONS = {"floor": Precision(2, 4, 4), "step": 2, "min_gain": 0.01, "reduce_rounds": (1,)}
GRID = list(itertools.product((2, 4, 6, 8), (4, 6, 8), (4, 6, 8)))
UNLIMITED = Cost(*(jnp.float32(jnp.inf),) * 3)


def choose(selector, bits, weights, constraint, cost_fn):
    demand = Demand(constraint, UNLIMITED, weights)
    return selector.select((), bits, demand, cost_fn, round=jnp.int32(0), loss=jnp.float32(1), key=jax.random.key(0))[0]


@pytest.mark.parametrize("metric", range(3))
@pytest.mark.parametrize("scale", [1.0, 0.3, 70.0])
def test_one_weight_alone_is_halo_ps_bit_for_bit(metric, scale):
    chips = stack([random_chip(np.random.default_rng(seed)) for seed in range(40)])
    points = Precision(*(jnp.array(column, jnp.int32) for column in zip(*GRID, strict=True)))
    one_hot = jnp.zeros(3).at[metric].set(scale)

    def both(chip, *bits):
        arguments = (Precision(*bits), one_hot, jnp.int32(metric + 1), lambda p: price(chip, p))
        return choose(weighted(**OPTIONS), *arguments), choose(halo_ps(**OPTIONS), *arguments)

    over_points = jax.vmap(both, in_axes=(None, 0, 0, 0))
    ours, papers = jax.jit(jax.vmap(over_points, in_axes=(0, None, None, None)))(chips, *points)
    jax.tree.map(np.testing.assert_array_equal, ours, papers)
    assert any((np.asarray(field) != np.asarray(start)).any() for field, start in zip(ours, points, strict=True))


def mixed(p: Precision) -> Cost:
    """Errors cost energy, activations time, weights area: each alone would choose its own."""
    w, a, e = (jnp.asarray(bits, jnp.float32) for bits in p)
    return Cost(1 + e, 1 + a, 1 + w)


@pytest.mark.parametrize(
    ("weights", "chosen"),
    [
        ((1, 0, 0), (8, 8, 6)),
        ((0, 1, 0), (8, 6, 8)),
        ((0, 0, 1), (6, 8, 8)),
        ((1, 2, 1), (8, 6, 8)),
        ((1, 1, 3), (6, 8, 8)),
    ],
)
def test_the_heaviest_weight_decides_where_gains_are_alike(weights, chosen):
    bits = Precision(*(jnp.int32(8),) * 3)
    found = choose(weighted(**OPTIONS), bits, jnp.array(weights, jnp.float32), jnp.int32(Constraint.NONE), mixed)
    assert tuple(map(int, found)) == chosen


def test_the_mix_is_of_relative_costs():
    cheap_area = lambda p: mixed(p)._replace(area_mm2=1e6 * (1 + 0.01 * p.weights))  # noqa: E731
    bits = Precision(*(jnp.int32(8),) * 3)
    found = choose(weighted(**OPTIONS), bits, jnp.array([1.0, 0, 1]), jnp.int32(Constraint.AREA), cheap_area)
    assert tuple(map(int, found)) == (8, 8, 6)


def test_no_weight_keeps_the_precision():
    bits = Precision(*(jnp.int32(8),) * 3)
    found = choose(weighted(**{**OPTIONS, "min_gain": 0.0}), bits, jnp.zeros(3), jnp.int32(Constraint.ENERGY), mixed)
    assert tuple(map(int, found)) == (8, 8, 8)

"""The search against every combination there is, on plain numbers; it knows nothing of bits or chips."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.selectors import knapsack

LAYERS, OPTIONS = 4, 9
EVERY = np.array(list(itertools.product(range(OPTIONS), repeat=LAYERS)))
search = jax.jit(knapsack.search)


def instances(seed: int, count: int):
    """(values, loads): dearer options have less value as a rule; some loads are 0, some are whole steps."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        loads = np.sort(rng.gamma(1, 1, (LAYERS, OPTIONS, 3)) * 10 ** rng.uniform(-1, 1, (LAYERS, 1, 3)), axis=1)
        loads = np.where(rng.random(3) < 0.3, 0, np.where(rng.random(3) < 0.4, np.ceil(loads), loads))
        low, high = loads.min(1).sum(0), loads.max(1).sum(0)
        loads = loads / np.maximum(low + rng.uniform(0.05, 0.8, 3) * (high - low), 1e-9)
        values = np.sort(4.0 ** rng.uniform(-6, 0, (LAYERS, OPTIONS)), axis=1)[:, ::-1]
        shuffled = [rng.permutation(OPTIONS) for _ in range(LAYERS)]
        yield tuple(
            np.stack([x[i] for x, i in zip(y, shuffled, strict=True)]).astype(np.float32) for y in (values, loads)
        )


def totals(values, loads, choices):
    rows = np.arange(LAYERS)
    return values.astype(np.float64)[rows, choices].sum(1), loads.astype(np.float64)[rows, choices].sum(1)


@pytest.mark.slow
def test_the_best_choice_is_among_those_found_and_the_bound_holds():
    excess, gaps = [], []
    for values, loads in instances(seed=0, count=60):
        value, load = totals(values, loads, EVERY)
        optimum = value[(load <= 1 - 1e-6).all(1)].min(initial=np.inf)
        at_the_edge = value[(load <= 1 + 1e-6).all(1)].min(initial=np.inf)
        choices, bound = search(values, loads)
        assert float(bound) <= at_the_edge
        if optimum < np.inf:
            value, load = totals(values, loads, np.asarray(choices))
            excess.append(value[(load <= 1 + 1e-6).all(1)].min() / optimum - 1)
            gaps.append(1 - float(bound) / optimum)
    assert len(excess) > 40
    assert max(excess) < 1e-6
    assert np.median(gaps) < 1e-4


def test_that_nothing_fits_is_proven():
    values, loads = next(instances(seed=1, count=1))
    least = loads.min(1).sum(0).max()
    _, bound = search(values, loads * np.float32(1.5 / least))
    assert np.isinf(bound)


def test_room_for_everything_is_the_least_value_of_each_layer():
    values, loads = next(instances(seed=2, count=1))
    choices, bound = search(values, loads * 0)
    least = values.min(1).sum()
    assert totals(values, loads, np.asarray(choices))[0].min() == pytest.approx(least, rel=1e-6)
    assert float(bound) == pytest.approx(least, rel=1e-4)


def test_values_of_0_and_any_scale_are_no_trouble():
    values, loads = next(instances(seed=3, count=1))
    for scaled in (values * 0, values * np.float32(1e-6), values * np.float32(1e6)):
        choices, bound = search(scaled, loads)
        assert np.isfinite(bound)
        fits = (totals(scaled, loads, np.asarray(choices))[1] <= 1).all(1)
        assert fits.any()


def test_many_at_once_are_one_by_one():
    many = [jnp.stack(x) for x in zip(*instances(seed=4, count=3), strict=True)]
    together = jax.jit(jax.vmap(knapsack.search))(*many)
    for k in range(3):
        jax.tree.map(lambda a, b, k=k: np.testing.assert_array_equal(a[k], b), together, search(many[0][k], many[1][k]))

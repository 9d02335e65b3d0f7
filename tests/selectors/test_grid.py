from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.selectors.grid import best_within, bit_grid, noise_key, quantisation_noise
from halo_jax.types import Cost, Precision

ALL = bit_grid(Precision(16, 16, 16), Precision(1, 1, 1))
ROWS = np.stack(ALL, axis=1).tolist()
EXACT = [sum(Fraction(1, 4**bits) for bits in row) for row in ROWS]


def test_noise_is_the_exact_sum_rounded_once():
    assert noise_key(ALL).dtype == jnp.uint32
    assert [Fraction(int(key), 4**16) for key in noise_key(ALL)] == EXACT
    noise = np.asarray(quantisation_noise(ALL))
    assert noise.dtype == np.float32
    np.testing.assert_array_equal(noise, np.array([float(exact) for exact in EXACT], np.float32))


def test_float32_holds_the_noise_of_widths_up_to_11_bits_apart():
    held = [Fraction(float(noise)) == exact for noise, exact in zip(quantisation_noise(ALL), EXACT, strict=True)]
    assert all(held[k] for k, row in enumerate(ROWS) if max(row) - min(row) <= 11)
    assert not all(held)


def test_noise_ties_are_the_same_widths_in_another_order():
    by_key = {}
    for key, row in zip(noise_key(ALL).tolist(), ROWS, strict=True):
        by_key.setdefault(key, set()).add(tuple(sorted(row)))
    assert {len(widths) for widths in by_key.values()} == {1}
    assert len(by_key) == len({tuple(sorted(row)) for row in ROWS})


def test_noise_takes_any_shape_and_python_ints():
    assert float(quantisation_noise(Precision(2, 4, 4))) == 1 / 16 + 2 / 256
    bits = Precision(*jnp.full((3, 2, 5), 8, jnp.int32))
    assert quantisation_noise(bits).shape == (2, 5)


def test_grid_is_complete_and_ordered_by_errors_activations_weights():
    grid = bit_grid(Precision(8, 7, 6), Precision(3, 4, 5))
    rows = np.stack(grid[::-1], axis=1).tolist()
    assert rows == [[e, a, w] for e in (5, 6) for a in range(4, 8) for w in range(3, 9)]
    assert {field.dtype for field in grid} == {np.dtype("int32")}


def test_grid_counts_its_steps_from_the_start():
    assert sorted(set(bit_grid(Precision(8, 8, 8), Precision(3, 4, 8), 2).weights.tolist())) == [4, 6, 8]
    assert len(bit_grid(Precision(8, 8, 8), Precision(8, 8, 8)).weights) == 1


@pytest.mark.parametrize(("start", "floor"), [((8, 8, 8), (2, 9, 4)), ((17, 8, 8), (2, 2, 2)), ((8, 8, 8), (0, 2, 2))])
def test_grid_refuses_impossible_ends(start, floor):
    with pytest.raises(ValueError, match="1 <= floor <= start <= 16") as error:
        bit_grid(Precision(*start), Precision(*floor))
    assert "\n" not in str(error.value)


@jax.jit
def best(bits, costs, budget):
    return best_within(Precision(*bits), Cost(*costs), Cost(*budget))


def best_in_python(bits, costs, budget):
    """The same in plain Python, on whole-number costs, where no ratios come close without being equal."""
    load = [max(cost / limit for cost, limit in zip(row, budget, strict=True)) for row in zip(*costs, strict=True)]
    within = [all(cost <= limit for cost, limit in zip(row, budget, strict=True)) for row in zip(*costs, strict=True)]
    noise = [sum(Fraction(1, 4**b) for b in row) for row in zip(*bits, strict=True)]
    rank = [(0 if within[k] else load[k], noise[k], load[k], k) for k in range(len(load))]
    return min(rank)[-1]


numbers = st.lists(st.integers(1, 6), min_size=8, max_size=8)
limits = st.sampled_from([0.5, 1, 2, 3, 4, 7, np.inf])


@settings(deadline=None, max_examples=300)
@given(st.tuples(*[numbers] * 3), st.tuples(*[numbers] * 3), st.tuples(*[limits] * 3))
def test_best_within_agrees_with_plain_python(bits, costs, budget):
    arrays = [np.array(x, dtype) for x, dtype in ((bits, np.int32), (costs, np.float32), (budget, np.float32))]
    assert int(best(*arrays)) == best_in_python(bits, costs, budget)


def test_costs_within_a_part_in_100000_are_equal():
    bits = np.array([[8, 8], [8, 7], [7, 8]])
    close = np.full((3, 2), 1, np.float32) * [1 + 5e-6, 1]
    apart = np.full((3, 2), 1, np.float32) * [1 + 2e-5, 1]
    budget = np.full(3, 2, np.float32)
    assert int(best(bits, close, budget)) == 0
    assert int(best(bits, apart, budget)) == 1

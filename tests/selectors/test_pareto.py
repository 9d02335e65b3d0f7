import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.selectors import pareto_front

COUNT = 12
points = st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=COUNT, max_size=COUNT)
find = jax.jit(pareto_front)


def front(rows):
    return np.asarray(find(jnp.array(rows, jnp.float32))).tolist()


def front_in_python(rows):
    def beats(one, other):
        return all(a <= b for a, b in zip(one, other, strict=True)) and one != other

    return [not any(beats(other, row) for other in rows) for row in rows]


@settings(deadline=None, max_examples=200)
@given(points)
def test_agrees_with_plain_python_on_sets_with_ties(rows):
    assert front(rows) == front_in_python(rows)


@settings(deadline=None, max_examples=50)
@given(points, st.permutations(range(COUNT)))
def test_order_of_the_points_does_not_matter(rows, order):
    found = front(rows)
    assert front([rows[k] for k in order]) == [found[k] for k in order]


@settings(deadline=None, max_examples=50)
@given(points)
def test_the_front_of_the_front_is_all_of_it(rows):
    kept = [row for row, on in zip(rows, front(rows), strict=True) if on]
    padded = (kept * COUNT)[:COUNT]  # equal points stay, so the shape can
    assert all(front(padded))


@settings(deadline=None, max_examples=50)
@given(points, st.integers(0, COUNT - 1), st.tuples(*[st.integers(0, 2)] * 3))
def test_a_dominated_point_more_changes_nothing(rows, which, worse):
    added = tuple(a + b for a, b in zip(rows[which], worse, strict=True))
    found = np.asarray(pareto_front(jnp.array([*rows, added], jnp.float32))).tolist()
    assert found[:-1] == front(rows)
    assert not found[-1] or added in rows


def test_one_metric_and_one_point():
    assert np.asarray(pareto_front(jnp.array([[2.0], [1.0], [1.0]]))).tolist() == [False, True, True]
    assert np.asarray(pareto_front(jnp.array([[3.0, 1.0]]))).tolist() == [True]


def test_lifted_is_one_by_one():
    values = jnp.asarray(np.random.default_rng(0).integers(0, 5, (6, COUNT, 4)), jnp.float32)
    lifted = jax.jit(jax.vmap(pareto_front))(values)
    for one, expected in zip(lifted, values, strict=True):
        np.testing.assert_array_equal(one, find(expected))

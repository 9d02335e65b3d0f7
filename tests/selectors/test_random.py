from collections import Counter

import jax
import jax.numpy as jnp
import pytest

from halo_jax.selectors import random
from halo_jax.types import Constraint, Cost, Demand, Precision

OPTIONS = {"floor": Precision(2, 4, 4), "step": 2, "reduce_rounds": (2, 3)}
UNLIMITED = Cost(*(jnp.float32(jnp.inf),) * 3)


def never(precision):
    pytest.fail("a selector by lot asks for no price")


def draw(bits, round=1, constraint=Constraint.AREA, draws=600):
    selector, demand = random(**OPTIONS), Demand(jnp.int32(constraint), UNLIMITED, jnp.ones(3))
    start = Precision(*map(jnp.int32, bits))

    def one(key):
        return selector.select((), start, demand, never, round=jnp.int32(round), loss=jnp.float32(1), key=key)[0]

    found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), draws))
    return Counter(zip(*(field.tolist() for field in found), strict=True))


def test_each_dimension_is_as_likely():
    counts = draw((8, 8, 8))
    assert counts.keys() == {(6, 8, 8), (8, 6, 8), (8, 8, 6)}
    assert min(counts.values()) > 150


def test_only_what_may_still_fall_is_drawn():
    assert draw((2, 4, 8)).keys() == {(2, 4, 6)}
    assert draw((4, 4, 4)).keys() == {(2, 4, 4)}
    assert draw((2, 4, 4)).keys() == {(2, 4, 4)}


def test_only_in_its_rounds_and_with_a_constraint():
    assert draw((8, 8, 8), round=0).keys() == {(8, 8, 8)}
    assert draw((8, 8, 8), round=3).keys() == {(8, 8, 8)}
    assert draw((8, 8, 8), constraint=Constraint.NONE).keys() == {(8, 8, 8)}

import jax
import jax.numpy as jnp

from halo_jax.selectors import static
from halo_jax.types import Constraint, Cost, Demand, Precision


def never(precision):
    raise AssertionError("static must not price anything")


def test_every_constraint_keeps_its_precision_unpriced():
    selector = static()
    assert not selector.selects
    for constraint in Constraint:
        demand = Demand(jnp.int32(constraint), Cost(*(jnp.float32(jnp.inf),) * 3), jnp.ones(3))
        precision, state = selector.select(
            selector.init(),
            Precision(2, 4, 5),
            demand,
            never,
            round=jnp.int32(0),
            loss=jnp.float32(1),
            key=jax.random.key(0),
        )
        assert tuple(map(int, precision)) == (2, 4, 5)
        assert {field.dtype for field in precision} == {jnp.dtype("int32")}
        assert state == ()

"""The static selector: every client keeps its first precision (the 8-8-8 and 2-4-4 rows of Table II)."""

from typing import Any

import chex
import jax
import jax.numpy as jnp

from halo_jax.selectors.base import CostFn, Selector
from halo_jax.types import Demand, Precision


def static() -> Selector:
    """A selector without state that returns the precision it is given."""
    return Selector(init=lambda: (), select=_select, selects=False)


def _select(
    state: Any,
    precision: Precision,
    demand: Demand,
    cost_fn: CostFn,
    *,
    round: jax.Array,
    loss: jax.Array,
    key: jax.Array,
) -> tuple[Precision, Any]:
    chex.assert_rank(list(precision), 0)
    return Precision(*(jnp.asarray(bits, jnp.int32) for bits in precision)), state

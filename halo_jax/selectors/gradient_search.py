"""Gradient search: the finest uniform precision within budgets, found along the slopes of a relaxed cost model."""

import itertools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from halo_jax.selectors.base import CostFn
from halo_jax.selectors.grid import best_within
from halo_jax.types import Cost, Precision

STARTS = np.array([[0.9, 0.9, 0.9], [0.5, 0.5, 0.5], *(0.9 - 0.7 * np.eye(3))])  # between floor and start
STEPS, RATE = 200, 0.25  # of Adam, in bits
PENALTIES = (1.0, 100.0)  # of the overshoot, at the first step and at the last
ROUNDS = 4  # of looking around
_AXES = np.eye(3, dtype=int)
NEAR = np.array(
    [
        *itertools.product((-1, 0, 1), repeat=3),  # beside
        *(bits * axis for axis in _AXES for bits in range(-15, 16)),  # along each dimension
        *(
            up - bits * down for up, down in itertools.permutations(_AXES, 2) for bits in range(2, 16)
        ),  # one for several
    ]
)


def gradient_search(cost_fn: CostFn, budget: Cost, *, start: Precision, floor: Precision) -> Precision:
    """The whole precision of least quantisation noise within absolute budgets, by gradients: int32 `[]` each.

    Adam goes down, from some starts between `floor` and `start`, on real bits b and

        log(4^-bw + 4^-ba + 4^-be) + penalty * sum over m of max(log(cost_m(b) / budget_m), 0)

    with a penalty that grows. Then it looks around where each has ended, a few times: at the whole bits beside,
    along each dimension, at one bit more for several less, and at the same widths in another order; these are priced
    exactly, and the best of all is taken as `exhaustive` would.

    Args:
      cost_fn: relaxed, on real bits `[K]`, differentiable, exact at whole ones: `chip.evaluate(..., relaxed=True)`.
      budget: limits `[]` above 0, inf where there is none.
      start: the most bits that are looked at.
      floor: the least.
    """
    chex.assert_rank(list(budget), 0)
    most, least = (jnp.array([float(bits) for bits in bound]) for bound in (start, floor))
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))

    def objective(bits: jax.Array, penalty: jax.Array) -> jax.Array:
        over = [jnp.log(cost) - jnp.log(limit) for cost, limit in zip(cost_fn(Precision(*bits.T)), budget, strict=True)]
        noise = jnp.log(jnp.sum(4.0**-bits, axis=-1))
        return jnp.sum(noise + penalty * sum(jnp.maximum(part, 0) for part in over))

    def step(carry: tuple, penalty: jax.Array) -> tuple[tuple, None]:
        bits, state = carry
        update, state = optimizer.update(jax.grad(objective)(bits, penalty), state)
        return (jnp.clip(bits + update, least, most), state), None

    bits = least + (most - least) * STARTS
    (bits, _), _ = jax.lax.scan(step, (bits, optimizer.init(bits)), jnp.geomspace(*PENALTIES, STEPS))

    def look_around(place: jax.Array, _: Any) -> tuple[jax.Array, None]:
        orders = place[np.array(list(itertools.permutations(range(3))))]
        whole = jnp.clip(jnp.concatenate([place + NEAR, orders]), least, most)
        return _best(whole, cost_fn, budget), None

    def settle(_: Any, place: jax.Array) -> tuple[None, jax.Array]:
        return None, jax.lax.scan(look_around, jnp.round(place), None, length=ROUNDS)[0]

    _, places = jax.lax.scan(settle, None, bits)
    return Precision(*_best(places, cost_fn, budget).astype(jnp.int32))


def _best(whole: jax.Array, cost_fn: CostFn, budget: Cost) -> jax.Array:
    """The best of whole bits `[K, 3]`; of equals the first in the order of `bit_grid`."""
    whole = whole[jnp.lexsort(whole.T)]  # errors are the first key
    return whole[best_within(Precision(*whole.astype(jnp.int32).T), cost_fn(Precision(*whole.T)), budget)]

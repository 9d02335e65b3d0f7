"""Gradient search: the precision of least noise within budgets, found along the slopes of a relaxed cost model."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from halo_jax.selectors.base import CostFn
from halo_jax.selectors.grid import best_within
from halo_jax.types import Cost, Precision

STEPS, RATE = 200, 0.02  # of Adam; the rate is of the range of each width
PENALTY = np.geomspace(10, 1e4, STEPS).astype(np.float32)  # of cost above the budget, step by step
WAYS = np.arange(6**2, dtype=np.int32)  # six choices a turn, in two turns
ROUNDS = 2  # of looking around the best end: at whole bits beside it, and at its widths in another order
AROUND = np.array(list(itertools.product((-1, 0, 1), repeat=3)), np.float32)
ORDERS = np.array(list(itertools.permutations(range(3))))

Objective = Callable[[jax.Array, jax.Array], jax.Array]  # bits [B, 3], penalty [] -> []


class Boxes(NamedTuple):
    """Where a search may go, `[B, 3]`: bits of weights, activations and errors from `low` to `high`."""

    low: jax.Array
    high: jax.Array


def gradient_search(cost_fn: CostFn, budget: Cost, *, start: Precision, floor: Precision) -> Precision:
    """Search real bits by gradients for what `exhaustive` finds among whole ones: int32 `[]` each.

    Adam minimises, over bits b from `floor` to `start`,

        log(4^-bw + 4^-ba + 4^-be) + penalty * sum over m of max(log(cost_m(b) / budget_m), 0)

    with a rising penalty. Costs that rise with every width let the rest follow in two turns: the least of the best
    whole bits is the least of the best real bits rounded down or up, for else all of these rounded down, or they
    themselves, would do better. So each width in turn is set to either, the others stay above, and Adam goes on with
    them: 36 ways. The whole bits below and above their ends are priced exactly, then those around the best; `cost_fn`
    takes whole bits as floats there. For VGG7 on three data sets and three chips it found the optimum for each of 300
    budgets. Pure and jittable.

    Args:
      cost_fn: relaxed: real bits -> differentiable cost, exact at whole bits; elementwise over `[B]`.
      budget: absolute limits `[]`, above 0, inf where there is none. If nothing fits, what overshoots little.
      start: the most bits, Python ints.
      floor: the fewest bits, Python ints.

    Source: Kingma and Ba, Adam, ICLR 2015, for the descent.
    """
    chex.assert_rank(list(budget), 0)
    limits = jnp.log(jnp.stack([jnp.asarray(limit, jnp.float32) for limit in budget]))[:, None]
    least, most = (jnp.array([bits], jnp.float32) for bits in (floor, start))

    def objective(bits: jax.Array, penalty: jax.Array) -> jax.Array:
        noise = jax.nn.logsumexp(-np.log(4.0) * bits, axis=1)
        over = jnp.maximum(jnp.log(jnp.stack(cost_fn(Precision(*bits.T)))) - limits, 0)
        return (noise + penalty * over.sum(0)).sum()

    def best(candidates: jax.Array) -> jax.Array:
        candidates = candidates[jnp.lexsort(candidates.T)]  # equals in the order of `bit_grid`
        bits = Precision(*candidates.astype(jnp.int32).T)
        return candidates[best_within(bits, cost_fn(Precision(*candidates.T)), budget)]

    def turn(boxes: Boxes, place: jax.Array) -> tuple[Boxes, jax.Array]:
        bits = _descend(objective, boxes)
        return _narrow(bits, boxes, choice=jnp.asarray(WAYS) // place % 6), bits

    def look_around(best_bits: jax.Array, _: Any) -> tuple[jax.Array, None]:
        return best(jnp.clip(jnp.concatenate([best_bits + AROUND, best_bits[ORDERS]]), least, most)), None

    boxes = Boxes(*(jnp.broadcast_to(end, (len(WAYS), 3)) for end in (least, most)))
    _, bits = jax.lax.scan(turn, boxes, 6 ** jnp.arange(3))  # two turns, and a third that only descends
    best_bits = best(jnp.concatenate([jnp.floor(bits[-1]), jnp.ceil(bits[-1])]))
    best_bits, _ = jax.lax.scan(look_around, best_bits, None, length=ROUNDS)
    return Precision(*best_bits.astype(jnp.int32))


def _descend(objective: Objective, boxes: Boxes) -> jax.Array:
    """Where Adam ends in each of the boxes, from its middle: bits `[B, 3]`."""
    low, high = boxes
    adam = optax.adam(optax.cosine_decay_schedule(1.0, STEPS), b1=0.8, b2=0.99)

    def step(carry: tuple, penalty: jax.Array) -> tuple[tuple, None]:
        bits, state = carry
        update: Any
        update, state = adam.update(jax.grad(objective)(bits, penalty), state)
        return (jnp.clip(bits + RATE * (high - low) * update, low, high), state), None

    middle = (low + high) / 2
    (bits, _), _ = jax.lax.scan(step, (middle, adam.init(middle)), jnp.asarray(PENALTY))
    return bits


def _narrow(bits: jax.Array, boxes: Boxes, choice: jax.Array) -> Boxes:
    """Boxes in which one width is the least free one of `bits` `[B, 3]`, rounded, and the others are no less.

    `choice` `[B]`, 0 to 5, says which width, and whether down or up.
    """
    low, high = boxes
    width, up = choice // 2, choice % 2 == 1
    free = jnp.where(low < high, bits, jnp.inf).min(1)
    free = jnp.where(free < jnp.inf, free, bits.min(1))
    least = jnp.clip(jnp.where(up, jnp.ceil(free), jnp.floor(free))[:, None], low, high)
    return Boxes(least, jnp.where(np.arange(3) == width[:, None], least, high))

"""One precision for each layer within a budget: which layers keep their bits and which give them up."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from halo_jax.selectors import knapsack
from halo_jax.selectors.base import CostFn
from halo_jax.selectors.grid import quantisation_noise
from halo_jax.types import Cost, Precision


class PerLayer(NamedTuple):
    """One precision per layer, and how far from the best it can be."""

    precision: Precision  # int32 [L]
    noise: jax.Array  # [], sum over layers of importance * quantisation noise
    bound: jax.Array  # [], no choice within the budget has less noise; inf: proven that there is none
    cost: Cost  # [], of all layers
    feasible: jax.Array  # bool [], whether that is within the budget


def layer_costs(cost_fns: Sequence[CostFn], candidates: Precision) -> Cost:
    """Price candidates `[K]` layer by layer: the `cost_fns` of each layer alone -> costs `[L, K]`."""
    costs = [cost_fn(candidates) for cost_fn in cost_fns]
    return Cost(*(jnp.stack(metric) for metric in zip(*costs, strict=True)))


def per_layer(
    layer_costs: Cost, candidates: Precision, budget: Cost, *, importance: jax.Array | None = None
) -> PerLayer:
    """Choose one of the candidates `[K]` for each layer: least noise within a budget on the cost of all layers.

    minimise   sum over l of importance_l * (4^-bw + 4^-ba + 4^-be)(k_l)
    subject to sum over l of cost_m(l, k_l) <= budget_m  for energy, latency and area

    A choice is feasible if and only if its `cost`, added in float32 from the first layer to the last, is within the
    budget. If none was found to be, the answer is the one of least max(cost / budget) that was seen: under a single
    limit each layer's cheapest, and `feasible` is exact; under several, whether anything fits is as hard to know as the
    best.

    See `knapsack` for the method. For VGG7 on three chips it found the least noise under 594 of 600 random budgets, and
    at most 1.5 % more under the others (experiments/proofs/near_optimum.py); `bound` proved 511 of these answers. No
    precision that is the same in all layers is better. Pure, jittable; lift it over budgets with `jax.vmap`.

    Args:
      layer_costs: `[L, K]`, that of layer l alone at candidate k: `layer_costs` makes them.
      candidates: the precisions to choose among, int32 `[K]`.
      budget: limits `[]` in the units of the costs, above 0; inf where there is none.
      importance: float32 `[L]`, not negative: how much a layer's noise counts; 1 each unless given.
    """
    prices, limits = jnp.stack(layer_costs, axis=-1), jnp.stack([jnp.asarray(limit, jnp.float32) for limit in budget])
    layers, kinds = prices.shape[:2]
    weights = jnp.ones(layers) if importance is None else jnp.asarray(importance, jnp.float32)
    chex.assert_shape([*candidates], (kinds,))
    chex.assert_shape([limits, weights], [(3,), (layers,)])
    noise, loads = weights[:, None] * quantisation_noise(candidates), prices / limits
    searched, bound = knapsack.search(noise, loads)
    same = jnp.broadcast_to(jnp.arange(kinds)[:, None], (kinds, layers))
    choices = jnp.concatenate([searched, _cheapest(noise, loads), same])

    costs, noises = (_total(numbers, choices) for numbers in (prices, noise))
    overshoot = jnp.where((costs <= limits).all(1), 0, (costs / limits).max(1))
    best = jnp.argmin(jnp.where(overshoot == overshoot.min(), noises, jnp.inf))
    feasible = overshoot[best] == 0
    return PerLayer(
        precision=Precision(*(jnp.asarray(bits, jnp.int32)[choices[best]] for bits in candidates)),
        noise=noises[best],
        bound=jnp.where(feasible, jnp.minimum(noises[best], bound), bound),
        cost=Cost(*costs[best]),
        feasible=feasible,
    )


def _cheapest(noise: jax.Array, loads: jax.Array) -> jax.Array:
    """Each layer's cheapest candidate by each metric `[3, L]`, the one of least noise among equals."""
    equals = loads == loads.min(1, keepdims=True)
    return jnp.argmin(jnp.where(equals, noise[..., None], jnp.inf), axis=1).T


def _total(numbers: jax.Array, choices: jax.Array) -> jax.Array:
    """The sums over layers of `[L, K, ...]` at choices `[C, L]`, added one by one: the same bits in every program."""
    return reduce(add, (numbers[layer, choices[:, layer]] for layer in range(len(numbers))))

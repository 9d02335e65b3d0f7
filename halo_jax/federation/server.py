"""The server: the weighted average of what comes back (Eq. 1), and its rounding to the model's grid."""

from typing import Any, Literal

import jax
import jax.flatten_util
import jax.numpy as jnp
from jax import lax

from halo_jax.numerics.quantize import stochastic_round, uniform_16


def aggregate(
    models: Any,
    num_examples: jax.Array,
    *,
    rounding: Literal["stochastic", "nearest", "none"],
    key: jax.Array,
) -> Any:
    """M = sum_c |D_c| M_c / sum_c |D_c| (Eq. 1), on the model's own grid.

    Whole-number models are summed in int32, exactly and in any order, then divided with one rounding: `stochastic`
    adds a uniform whole number below the divisor before the floor, which is unbiased; `nearest` rounds half to even.
    # Choice A7: stochastic, since nearest erases every mean change below half a step.

    Args:
      models: stacked client models `[C, ...]`.
      num_examples: int32 `[C]`, the weights |D_c|; at most 16.9 million in all for 8-bit models.
      rounding: `none` averages float models in float32, in the order of the cohort.
      key: the round's key for this draw.
    """
    divisor = jnp.sum(num_examples)
    totals = _weighted_sum(models, num_examples, jnp.float32 if rounding == "none" else jnp.int32)
    if rounding == "none":
        return jax.tree.map(lambda total: total / divisor, totals)
    flat, unflatten = jax.flatten_util.ravel_pytree(totals)
    averages = unflatten(_divide(flat, divisor, rounding, key))
    return jax.tree.map(lambda average, leaf: average.astype(leaf.dtype), averages, models)


def mean(values: Any, weights: jax.Array) -> Any:
    """sum_c w_c v_c / sum_c w_c of float trees stacked `[C, ...]`, in the order of the cohort."""
    total = jnp.sum(weights)
    return jax.tree.map(lambda leaf: leaf / total, _weighted_sum(values, weights, jnp.float32))


def to_master(weights: Any, like: Any, *, bits: int, rounding: str, key: jax.Array) -> Any:
    """Float weights as the model that the server holds: codes of `bits` bits, rounded as by `aggregate`.

    Args:
      weights: float32, of any shapes; beyond (-1, 1) they are cut to the largest codes.
      like: a model of the same shapes, for its dtypes.
      bits: of one weight.
      rounding: `stochastic`, `nearest`, or `none` for float models.
      key: the round's key for this draw.
    """
    if rounding == "none":
        return weights
    scale = 2.0 ** (bits - 1)
    flat, unflatten = jax.flatten_util.ravel_pytree(weights)
    draw = uniform_16(key, flat.shape) if rounding == "stochastic" else None
    rounded = jnp.round(flat * scale) if draw is None else stochastic_round(flat * scale, draw)
    codes = unflatten(jnp.clip(rounded, 1 - scale, scale - 1))
    return jax.tree.map(lambda code, leaf: code.astype(leaf.dtype), codes, like)


def _weighted_sum(models: Any, num_examples: jax.Array, dtype: Any) -> Any:
    """sum_c |D_c| M_c in `dtype`, client by client: all models at once in `dtype` would take four times the memory."""

    def add(totals: Any, client: tuple[Any, jax.Array]) -> tuple[Any, None]:
        model, examples = client
        weighted = jax.tree.map(lambda total, leaf: total + leaf.astype(dtype) * examples.astype(dtype), totals, model)
        counts = examples != 0  # else nothing of it may show, were it NaN
        return jax.tree.map(lambda new, old: jnp.where(counts, new, old), weighted, totals), None

    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[1:], dtype), models)
    return lax.scan(add, zeros, (models, num_examples))[0]


def _divide(total: jax.Array, divisor: jax.Array, rounding: str, key: jax.Array) -> jax.Array:
    """total / divisor `[P]` rounded to whole numbers, without leaving the integers."""
    floor = total // divisor
    rest = total - floor * divisor
    if rounding == "stochastic":
        draw = jax.random.randint(key, total.shape, 0, divisor)
        return floor + (rest + draw >= divisor)
    up = (rest > divisor - rest) | ((rest == divisor - rest) & (floor % 2 == 1))
    return floor + up

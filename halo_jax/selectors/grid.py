"""Whole bit widths to choose among: how much noise they leave, the grid of all of them, the best within a budget."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.types import Cost, Precision

MAX_BITS = 16
TIE = 1e-5  # costs this close, relatively, are equal: energies of 8-8-6 and 8-6-8 differ by 5e-7 to 5e-6


def quantisation_noise(precision: Precision) -> jax.Array:
    """Noise power 4^-bw + 4^-ba + 4^-be, float32 of the shape of the bits: lower is better.

    A uniform quantiser of b bits has steps of width 2^(1-b), and an error of variance width^2 / 12: up to one factor,
    4^-b. The three tensors count alike; more bits are always better. Whole bits 1 to 16. The sum is rounded once,
    from `noise_key`, so it never falls where the noise rises; it is exact where the widths span 11 bits or less.
    Source: Widrow's model of quantisation noise; it ranks precisions by no more than their bits.
    """
    return noise_key(precision).astype(jnp.float32) * np.float32(4.0**-MAX_BITS)


def noise_key(precision: Precision) -> jax.Array:
    """The same noise as an exact whole number, 4^(16-bw) + 4^(16-ba) + 4^(16-be), uint32: for comparisons.

    Two precisions tie if and only if they are the same three widths in another order: no three digits of a number
    to base 4 carry.
    """
    bits = [jnp.asarray(field) for field in precision]
    chex.assert_equal_shape(bits)
    weights, activations, errors = (jnp.uint32(1) << (2 * (MAX_BITS - field)).astype(jnp.uint32) for field in bits)
    return weights + activations + errors


def bit_grid(start: Precision, floor: Precision, step: int = 1) -> Precision:
    """All precisions from `start` down to `floor` in steps of `step`: int32 NumPy arrays `[K]`.

    Ordered by errors, then activations, then weights, fewest bits first: the first of several equals has given up
    errors before activations before weights. Raises ValueError unless 1 <= floor <= start <= 16 in every width.
    """
    if not all(1 <= low <= high <= MAX_BITS for low, high in zip(floor, start, strict=True)):
        raise ValueError(f"bits from floor {floor} to start {start}; allowed: 1 <= floor <= start <= {MAX_BITS}")
    widths = [np.arange(high, low - 1, -step, dtype=np.int32)[::-1] for low, high in zip(floor, start, strict=True)]
    errors, activations, weights = (axis.ravel() for axis in np.meshgrid(*widths[::-1], indexing="ij"))
    return Precision(weights, activations, errors)


def best_within(candidates: Precision, costs: Cost, budget: Cost) -> jax.Array:
    """The index, int32 `[]`, of the best of candidates `[K]` that cost `costs` `[K]` under limits `budget` `[]`.

    Best is, in this order: the least overshoot, that is 0 within the budget (cost <= limit in all three metrics) and
    the largest cost / limit outside it; the least quantisation noise, exactly; the least of the largest cost / limit;
    the first. Ratios within 1e-5 are equal. Limits are positive, inf where there is none.
    """
    chex.assert_rank([*candidates, *costs], 1)
    chex.assert_rank(list(budget), 0)
    prices, limits = jnp.stack(costs), jnp.stack([jnp.asarray(limit, jnp.float32) for limit in budget])[:, None]
    load = (prices / limits).max(0)
    overshoot = jnp.where((prices <= limits).all(0), 0, load)
    eligible = overshoot <= overshoot.min() * (1 + TIE)
    noise = noise_key(candidates)
    eligible &= noise == jnp.where(eligible, noise, jnp.uint32(2**32 - 1)).min()
    load = jnp.where(eligible, load, jnp.inf)
    return jnp.argmax(load <= load.min() * (1 + TIE))

"""Made-up chips: costs that rise with every bit, some in steps, for selectors that know hardware as `cost_fn` only."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.types import Cost, Precision


class Chip(NamedTuple):
    """Coefficients `[3, 3]` of three metrics: of bits, of products of two, of steps, and how long these are."""

    linear: np.ndarray
    pairs: np.ndarray
    steps: np.ndarray
    slopes: np.ndarray


def random_chip(rng: np.random.Generator) -> Chip:
    """Many coefficients are close to 0, so that a metric hangs on a few of the three widths."""
    coefficients = rng.gamma(0.5, 1, (3, 3)), rng.gamma(0.3, 0.3, (3, 3)), rng.gamma(0.5, 1, (3, 3))
    return Chip(*(c.astype(np.float32) for c in (*coefficients, rng.uniform(0.2, 2, (3, 3)))))


def price(chip: Chip, precision: Precision) -> Cost:
    """Whole or real bits; between whole ones the steps are straight lines, so that the metrics are relaxed."""
    w, a, e = (jnp.asarray(bits, jnp.float32) for bits in precision)

    def stairs(bits: jax.Array, slope: jax.Array) -> jax.Array:
        below = jnp.floor(bits)
        low, high = jnp.ceil(slope * below), jnp.ceil(slope * (below + 1))
        return low + (bits - below) * (high - low)

    def metric(m: int) -> jax.Array:
        (k, j, i), (s, t, u) = chip.linear[m], chip.pairs[m]
        smooth = 0.1 + k * w + j * a + i * e + s * w * a + t * a * e + u * w * e
        return smooth + sum(chip.steps[m][d] * stairs(bits, chip.slopes[m][d]) for d, bits in enumerate((w, a, e)))

    return Cost(metric(0), metric(1), metric(2))


def random_budget(rng: np.random.Generator, low: Cost, high: Cost) -> Cost:
    """Limits on some of the metrics, from unreachable to all that there is."""
    limits = [
        np.inf if rng.random() < 0.4 else float(a) + rng.uniform(-0.05, 1) * (float(b) - float(a))
        for a, b in zip(low, high, strict=True)
    ]
    return Cost(*(np.float32(limit) for limit in limits))


def stack(trees: list) -> tuple:
    """Chips or budgets, stacked for `jax.vmap`."""
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trees)

"""Prices on the loads of a knapsack, for which a bound on it is high: Lagrange multipliers.

With u >= 0 `[3]`, the dual of `knapsack`'s problem is

    D(u) = sum_l min_k (values[l, k] + loads[l, k] . u) - sum(u)

No choice that fits has less value than D(u), whatever u. D is concave, so that its maximum is found by ascending.

Source: Geoffrion, Lagrangean relaxation for integer programming, 1974.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

ADAM_STEPS = 200
NEARBY = 64  # multipliers around the best ones, a factor of up to 4 away, spread evenly: the R3 sequence of Roberts
_R3 = (0.5 + np.arange(NEARBY)[:, None] * 1.2207440846 ** -np.arange(1, 4)) % 1
FACTORS = 4.0 ** (2 * _R3 - 1)  # [NEARBY, 3], of which the first is 1
PENALTY = 1e4  # of an overshoot of 100 %, in units of the worst choice's value


def multipliers(values: jax.Array, loads: jax.Array) -> jax.Array:
    """J multipliers `[J, 3]`: none, the best for all layers together, some around it, and long ones.

    Parts of a problem have best multipliers of their own, which is what those around are for. The long ones make
    whoever must overshoot pay the penalty.

    Args:
      values: float32 `[L, K]`, from 0; those of the worst choice add up to 1.
      loads: float32 `[L, K, 3]`, from 0; what fits adds up to 1 at most.
    """
    used, scale = (loads > 0).any((0, 1)), jnp.maximum(values.min(1).sum(), 1e-30)

    def dual(logs: jax.Array) -> jax.Array:
        return (values + loads @ jnp.exp(logs)).min(1).sum() - jnp.exp(logs).sum()

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        logs, state, most, best = carry
        value, slope = jax.value_and_grad(dual)(logs)
        most, best = jnp.maximum(value, most), jnp.where(value > most, logs, best)
        update, state = adam.update(-slope / scale, state)
        return (optax.apply_updates(logs, update), state, most, best), None

    adam = optax.adam(optax.exponential_decay(0.5, ADAM_STEPS, 0.004), b1=0.7, b2=0.9)
    start = jnp.where(used, jnp.log(scale), -60.0)  # e^-60: a load that nobody has costs nothing
    (*_, best), _ = lax.scan(step, (start, adam.init(start), -jnp.inf, start), None, length=ADAM_STEPS)
    nearby = jnp.exp(best) * FACTORS.astype(np.float32)
    directions = jnp.concatenate([nearby[::4], jnp.eye(3)])
    return jnp.concatenate([jnp.zeros((1, 3)), nearby, PENALTY * directions / directions.sum(1, keepdims=True)])

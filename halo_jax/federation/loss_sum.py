"""Sums of losses that are the same in any order: whole 1/256, in whole numbers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.numerics.wide_integers import LIMB_BITS, WideInt


class LossSum(NamedTuple):
    """A sum of loss terms in whole 1/256, exact in any order, and whether a term was NaN; it may be stacked."""

    steps: WideInt  # of 1/256
    nan: jax.Array

    @classmethod
    def of(cls, terms: jax.Array, mask: jax.Array) -> "LossSum":
        """The masked loss terms `[B, ...]`, each rounded to whole 1/256; one beyond 2^34 / size is cut there."""
        mask = mask.reshape(mask.shape + (1,) * (terms.ndim - 1))
        wanted = jnp.where(mask & ~jnp.isnan(terms), terms, 0)
        limit = jnp.float32(2 ** (LIMB_BITS + 30) // max(terms.size, 1))
        steps = WideInt.of_float(jnp.minimum(jnp.round(wanted * 256), limit))
        return cls(steps.sum(), jnp.any(jnp.isnan(terms) & mask))

    @classmethod
    def nothing(cls) -> "LossSum":
        """The sum of no terms."""
        return cls(WideInt(jnp.int32(0), jnp.int32(0)), jnp.bool(False))

    def sum(self) -> "LossSum":
        """The sum of stacked sums, of 2^43 whole 1/256 at most."""
        return LossSum(self.steps.sum(), self.nan.any())

    def mean(self, count: jax.Array | int) -> jax.Array:
        """The sum divided by `count`, float32; NaN if a term was."""
        return jnp.where(self.nan, jnp.nan, self.steps.as_float() / 256 / count)

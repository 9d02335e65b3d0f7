"""Whole numbers beyond int32 and float32, for sums that must be exact: two int32 limbs, on any backend, without x64."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

LIMB_BITS = 12
_LOW = 2**LIMB_BITS - 1


class WideInt(NamedTuple):
    """The number `high * 4096 + low`, both int32 of one shape, 0 <= low < 4096: between -2^43 and 2^43."""

    high: jax.Array
    low: jax.Array

    @classmethod
    def of_float(cls, x: jax.Array) -> "WideInt":
        """A float32 whole number, taken exactly."""
        high = jnp.floor(x * 2.0**-LIMB_BITS)
        return cls(high.astype(jnp.int32), (x - high * 2.0**LIMB_BITS).astype(jnp.int32))

    @classmethod
    def of_int(cls, n: jax.Array) -> "WideInt":
        """An int32."""
        return cls(n >> LIMB_BITS, n & _LOW)

    @classmethod
    def of_limbs(cls, high: jax.Array, low: jax.Array) -> "WideInt":
        """`high * 4096 + low` for any int32 `low`."""
        return cls(high + (low >> LIMB_BITS), low & _LOW)

    def sum(self, *axes: int) -> "WideInt":
        """The exact sum over some axes (none named: all), each of fewer than 2^19 numbers."""
        total = self
        for axis in sorted((axis % self.high.ndim for axis in axes or range(self.high.ndim)), reverse=True):
            total = WideInt.of_limbs(total.high.sum(axis), total.low.sum(axis))
        return total

    def as_float(self) -> jax.Array:
        """The float32 nearest to the number: rounded once, half to even, so it never falls where the number rises.

        The number's leading 31 bits become one int32, whose last bit is set if anything follows (round to odd): the
        conversion to float32 then rounds as if it saw all bits.
        """
        room = jnp.clip(lax.clz(jnp.abs(self.high)) - 1, 0, LIMB_BITS)
        after = LIMB_BITS - room
        leading = (self.high << room) | (self.low >> after)
        sticky = (self.low & ((1 << after) - 1)) != 0
        return (leading | sticky).astype(jnp.float32) * _power_of_two(after)


def _power_of_two(exponent: Any) -> jax.Array:
    return lax.bitcast_convert_type((127 + exponent) << 23, jnp.float32)

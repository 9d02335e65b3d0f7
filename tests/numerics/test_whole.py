"""Two int32 limbs hold, add and round whole numbers as Python's integers do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.numerics.wide_integers import LIMB_BITS, WideInt

numbers = st.integers(-(2**43), 2**43 - 1) | st.integers(0, 43).flatmap(
    lambda bits: st.integers(-2, 2).map(lambda near: min(2**bits + near, 2**43 - 1))
)


def wide(values: list[int]) -> WideInt:
    high, low = np.divmod(np.array(values, np.int64), 2**LIMB_BITS)
    return WideInt(jnp.asarray(high.astype(np.int32)), jnp.asarray(low.astype(np.int32)))


def as_ints(number: WideInt) -> list[int]:
    return (np.asarray(number.high, np.int64) * 2**LIMB_BITS + np.asarray(number.low)).tolist()


@given(values=st.lists(numbers, min_size=64, max_size=64))
@settings(derandomize=True, deadline=None)
def test_the_float_is_the_nearest_one(values):
    np.testing.assert_array_equal(wide(values).as_float(), np.array(values, np.int64).astype(np.float32))


@pytest.mark.parametrize("bits", [24, 25, 30, 36, 40])
@pytest.mark.parametrize("sign", [1, -1])
def test_halves_between_two_floats_go_to_the_even_one_and_a_last_bit_decides(bits, sign):
    half = 2 ** (bits - 24)
    values = [sign * (2**bits + odd * half + tail) for odd in (1, 3) for tail in (-1, 0, 1)]
    np.testing.assert_array_equal(wide(values).as_float(), np.array(values, np.int64).astype(np.float32))


@pytest.mark.parametrize("axes", [(), (0,), (-1,), (0, 2)])
def test_sums_are_exact(axes):
    values = np.random.default_rng(0).integers(-(2**36), 2**36, (3, 4, 5))
    total = wide(values.tolist()).sum(*axes)
    np.testing.assert_array_equal(as_ints(total), values.sum(axes or None))
    assert (np.asarray(total.low) >= 0).all()
    assert (np.asarray(total.low) < 2**LIMB_BITS).all()


def test_floats_and_ints_are_taken_exactly():
    values = np.array([0, 1, -1, 4095, -4096, 2**24 - 1, -(2**24), 2**31 - 128, -(2**31)], np.int64)
    assert as_ints(WideInt.of_int(jnp.asarray(values.astype(np.int32)))) == values.tolist()
    large = np.array([2.0**40 + 2.0**17, -(2.0**42), 3.0], np.float32)
    assert as_ints(WideInt.of_float(jnp.asarray(large))) == [int(value) for value in large]


def test_jit_and_vmap_change_nothing():
    number = wide([2**40 + 1, -(2**33) - 3, 5])
    expected = np.asarray(number.as_float())
    np.testing.assert_array_equal(jax.jit(WideInt.as_float)(number), expected)
    np.testing.assert_array_equal(jax.vmap(WideInt.as_float)(number), expected)

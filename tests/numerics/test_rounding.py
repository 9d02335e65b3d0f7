"""A product that is rounded before it is added: the bits of two roundings, in every program."""

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.numerics.rounding import rounded


def test_a_product_is_rounded_before_it_is_added():
    rng = np.random.default_rng(0)
    a, b, c = rng.random((3, 2000)).astype(np.float32)
    twice_rounded = (a * b).astype(np.float32) + c

    def formula(a, b, c):
        return rounded(a * b) + c

    for program in (formula, jax.jit(formula), jax.jit(jax.vmap(formula))):
        np.testing.assert_array_equal(program(*map(jnp.asarray, (a, b, c))), twice_rounded)


def test_numbers_from_0_on_pass_as_they_are():
    numbers = np.float32([0, 2e-38, 0.1, 1, 3e38, np.inf, np.nan])
    np.testing.assert_array_equal(rounded(jnp.asarray(numbers)), numbers)

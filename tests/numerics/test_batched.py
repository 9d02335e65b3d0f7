"""The accelerator's form of the contractions, run on a CPU: the bits of the CPU's form, batched over clients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.numerics import contraction_accelerator, contraction_cpu
from halo_jax.numerics.exact_sums import FLOAT32_TERMS, Operand, Window

SAME = Window(padding=((1, 1), (1, 1)))
CLIENTS = 3
# images [B, H, W, Cin], kernel, Cout, window; the last three sum more products than float32 adds exactly
GEOMETRIES = {
    "few channels": ((2, 7, 5, 1), (3, 3), 6, SAME),
    "strides and dilation": ((1, 11, 12, 5), (2, 3), 5, Window((3, 2), ((1, 0), (2, 2)), (3, 2))),
    "padding beyond the kernel": ((2, 4, 5, 5), (1, 1), 3, Window(padding=((1, 1), (2, 1)))),
    "forward": ((2, 3, 3, 128), (3, 3), 5, SAME),
    "input gradient": ((2, 3, 3, 5), (3, 3), 128, SAME),
    "weight gradient": ((13, 10, 10, 5), (3, 3), 5, SAME),
}


def stacked(shape, unit, saturated):
    """Operands of three clients, each with a grid of its own."""
    rng = np.random.default_rng(sum(shape))
    codes = rng.integers(120 if saturated else -127, 128, (CLIENTS, *shape))
    units = unit * 2.0 ** -np.arange(CLIENTS)
    values = codes * units.reshape(-1, *(1,) * len(shape))
    return Operand(jnp.asarray(values, jnp.float32), jnp.asarray(units, jnp.float32))


def same_bits(name, a, b, **geometry):
    """`vmap` of the accelerator's two forms, bfloat16 and int8, against the CPU's form client by client."""
    forms = [
        functools.partial(getattr(contraction_accelerator, name), exact=True, codes=codes, **geometry)
        for codes in (False, True)
    ]
    found, by_codes = jax.jit(lambda *both: [jax.vmap(form)(*both) for form in forms])(a, b)
    np.testing.assert_array_equal(found, by_codes)
    one = jax.jit(functools.partial(getattr(contraction_cpu, name), exact=True, **geometry))
    expected = [one(*jax.tree.map(lambda leaf, c=client: leaf[c], (a, b))) for client in range(CLIENTS)]
    np.testing.assert_array_equal(found, np.stack(expected))
    assert np.abs(found).max() > 0


@pytest.mark.parametrize("saturated", [False, True])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_convolutions_have_the_bits_of_the_cpu(name, saturated):
    shape, kernel, c_out, window = GEOMETRIES[name]
    x, w = stacked(shape, 2.0**-7, saturated), stacked((*kernel, shape[-1], c_out), 2.0**-5, saturated)
    out = jax.eval_shape(functools.partial(contraction_cpu.correlate, window=window, exact=True), *first(x, w)).shape
    error = stacked(out, 2.0**-20, saturated)
    same_bits("correlate", x, w, window=window)
    same_bits("input_gradient", error, w, window=window, in_hw=shape[1:3])
    same_bits("weight_gradient", x, error, window=window, kernel=kernel)


def first(*operands):
    return jax.tree.map(lambda leaf: leaf[0], operands)


@pytest.mark.parametrize(("rows", "terms", "columns"), [(4, 7, 3), (2, 2 * FLOAT32_TERMS + 1, 3)])
def test_dense_products_have_the_bits_of_the_cpu(rows, terms, columns):
    same_bits("dot", stacked((rows, terms), 2.0**-7, True), stacked((terms, columns), 2.0**-7, True))


def test_float_operands_stay_float32():
    a, b = jnp.full((2, 3), 1 + 2.0**-20), jnp.ones((3, 2))
    np.testing.assert_allclose(
        contraction_accelerator.dot(Operand(a), Operand(b), exact=False), 3 * (1 + 2.0**-20), rtol=1e-7
    )

"""The compiled kernels: the bits of XLA's forms on every shape, and a clear reason where they can't run."""

import functools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.numerics import contraction_cpu, native
from halo_jax.numerics.exact_sums import Operand, Window
from halo_jax.numerics.quantize import uniform_16

ROOT = Path(__file__).parents[2]
SAME = Window(padding=((1, 1), (1, 1)))
pytestmark = pytest.mark.skipif(native.why_not() != "", reason=native.why_not())

# images [B, H, W, Cin], kernel, Cout, window. Winograd's algorithm serves width 3 up to 5,547 products.
GEOMETRIES = {
    "first layer": ((3, 28, 28, 1), (3, 3), 16, SAME),
    "first layer in colour": ((2, 32, 32, 3), (3, 3), 16, SAME),
    "second layer": ((3, 28, 28, 16), (3, 3), 16, SAME),
    "middle": ((5, 14, 14, 16), (3, 3), 32, SAME),
    "last": ((4, 7, 7, 64), (3, 3), 64, SAME),
    "map of two": ((4, 2, 2, 32), (3, 3), 32, SAME),
    "map of one": ((4, 1, 1, 6), (3, 3), 5, SAME),
    "at the limit of Winograd": ((1, 3, 8, 616), (3, 3), 4, SAME),
    "beyond the limit of Winograd": ((1, 3, 8, 618), (3, 3), 4, SAME),
    "odd channels": ((2, 9, 11, 7), (3, 3), 5, SAME),
    "other kernels": ((2, 9, 10, 4), (5, 2), 6, Window(padding=((2, 1), (0, 1)))),
    "one row": ((2, 1, 40, 8), (1, 3), 8, Window(padding=((0, 0), (1, 1)))),
    "valid": ((2, 9, 8, 6), (3, 3), 20, Window()),
    "cropping": ((2, 9, 8, 6), (3, 3), 5, Window(padding=((-1, 0), (1, -2)))),
    "one image": ((1, 12, 12, 16), (3, 3), 17, SAME),
    "many images": ((33, 12, 12, 8), (3, 3), 8, SAME),
}


def operand(rng, shape, unit, low):
    return Operand(jnp.asarray(rng.integers(low, 128, shape) * unit, jnp.float32), jnp.float32(unit))


def same_bits(name, a, b, **geometry):
    ours, theirs = (jax.jit(functools.partial(getattr(form, name), exact=True, **geometry)) for form in FORMS)
    found = np.asarray(ours(a, b))
    np.testing.assert_array_equal(found, theirs(a, b))
    return found


FORMS = (native, contraction_cpu)


@pytest.mark.parametrize("low", [-127, 120], ids=["any", "saturated"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_convolutions_have_the_bits_of_xla(name, low):
    shape, kernel, c_out, window = GEOMETRIES[name]
    rng = np.random.default_rng(0)
    x, w = operand(rng, shape, 2.0**-7, low), operand(rng, (*kernel, shape[3], c_out), 2.0**-5, low)
    y = same_bits("correlate", x, w, window=window)
    error = operand(rng, y.shape, 2.0**-20, low)
    same_bits("input_gradient", error, w, window=window, in_hw=shape[1:3])
    same_bits("weight_gradient", x, error, window=window, kernel=kernel)


@pytest.mark.parametrize(("rows", "terms", "columns"), [(20, 576, 32), (1, 1, 1), (3, 2081, 1100), (1050, 7, 3)])
def test_dense_products_have_the_bits_of_xla(rows, terms, columns):
    rng = np.random.default_rng(1)
    same_bits("dot", operand(rng, (rows, terms), 2.0**-7, -127), operand(rng, (terms, columns), 2.0**-6, -127))


def test_what_is_not_finite_counts_as_0():
    values = jnp.full((3, 40), jnp.float32(3)).at[1].set(jnp.asarray([jnp.nan, jnp.inf, -jnp.inf, 1] * 10))
    ones = Operand(jnp.ones((40, 2)), jnp.float32(1))
    found = native.dot(Operand(values, jnp.float32(1)), ones, exact=True)
    np.testing.assert_array_equal(found, [[120, 120], [10, 10], [120, 120]])


def test_threads_do_not_disturb_each_other():
    rng = np.random.default_rng(2)
    x, w = operand(rng, (4, 12, 12, 8), 2.0**-7, -127), operand(rng, (3, 3, 8, 24), 2.0**-7, -127)
    one = jax.jit(functools.partial(native.correlate, window=SAME, exact=True))
    inputs = [x._replace(values=jnp.roll(x.values, turn, 1)) for turn in range(12)]
    expected = [np.asarray(one(x, w)) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            for found, right in zip(pool.map(lambda x: np.asarray(one(x, w)), inputs), expected, strict=True):
                np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("shape", [(1,), (7,), (1031,), (3, 5, 7)])
def test_draws_are_the_bits_of_jax(shape):
    def by_jax(key):
        return jax.random.bits(key, shape, jnp.uint16).astype(jnp.float32) * 2.0**-16

    keys = jax.random.split(jax.random.key(5), 3)
    draw = functools.partial(uniform_16, shape=shape)
    np.testing.assert_array_equal(jax.jit(draw)(keys[0]), by_jax(keys[0]))
    np.testing.assert_array_equal(draw(jax.random.key_data(keys[1])), by_jax(keys[1]))
    np.testing.assert_array_equal(jax.vmap(draw)(keys), jnp.stack([by_jax(key) for key in keys]))


def test_other_kinds_of_keys_draw_as_jax_does():
    key = jax.random.key(0, impl="rbg")
    assert not native.draws_alike(key)
    expected = jax.random.bits(key, (5,), jnp.uint16).astype(jnp.float32) * 2.0**-16
    np.testing.assert_array_equal(uniform_16(key, (5,)), expected)


def why_not(**environment: str) -> str:
    command = [sys.executable, "-c", "from halo_jax.numerics import native; print(native.why_not())"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_where_kernels_cannot_be_built_xla_serves_and_the_reason_is_one_line(tmp_path):
    empty = {"XDG_CACHE_HOME": str(tmp_path)}
    assert why_not(HALO_JAX_KERNELS="xla") == "HALO_JAX_KERNELS=xla"
    assert why_not(CXX="no-such-compiler", **empty) == "no C++ compiler; install g++ or set CXX"
    assert why_not(CXX="false", **empty) == "the C++ compiler failed: without a word"
    assert why_not(CXX="g++ 'unclosed", **empty) == "kernels cannot be built: No closing quotation"
    assert list(tmp_path.rglob("*.so")) == []

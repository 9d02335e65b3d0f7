"""Forward, input-gradient and weight-gradient contractions against int64 sums rounded once to float32."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from halo_jax.numerics import native
from halo_jax.numerics.contraction import conv, dense, layer_name, named_layer
from halo_jax.numerics.exact_sums import FLOAT32_TERMS, INT32_TERMS, Window
from halo_jax.types import LayerShape, Precision
from tests.oracles import contractions_numpy

SAME = Window(padding=((1, 1), (1, 1)))
BITS = [(8, 8, 8), (2, 4, 6)]
ERROR_STEP = 2.0**-11  # errors arrive on a grid of whatever scale

# name: images [B, H, W, Cin], kernel, Cout, window
GEOMETRIES = {
    "few channels": ((2, 7, 5, 3), (3, 3), 6, SAME),
    "few channels, strides": ((2, 9, 6, 2), (5, 2), 3, Window((2, 1), ((2, 2), (0, 1)))),
    "many positions": ((2, 9, 11, 6), (3, 3), 5, SAME),
    "many positions, even kernel": ((1, 12, 9, 5), (2, 4), 6, Window(padding=((0, 1), (1, 2)))),
    "few positions, even kernel": ((2, 5, 6, 5), (2, 2), 5, Window(padding=((0, 1), (0, 1)))),
    "valid, strides": ((2, 8, 7, 5), (3, 3), 6, Window((2, 3))),
    "dilation": ((2, 9, 8, 5), (3, 2), 5, Window((1, 1), ((2, 2), (1, 1)), (2, 3))),
    "strides and dilation": ((1, 11, 12, 5), (2, 3), 5, Window((3, 2), ((1, 0), (2, 2)), (3, 2))),
    "valid, kernel is the image": ((3, 4, 3, 6), (4, 3), 5, Window()),
    "pointwise": ((2, 5, 4, 7), (1, 1), 5, Window()),
    "padding beyond the kernel": ((2, 4, 5, 5), (1, 1), 3, Window(padding=((1, 1), (2, 1)))),
}


@pytest.fixture(autouse=True, scope="module", params=["native", "xla"])
def kernels(request):
    """Every test of this file runs with the compiled kernels and with XLA's forms."""
    if request.param == "native" and native.why_not():
        pytest.skip(native.why_not())
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "xla":
            patch.setattr(native, "why_not", lambda: "these tests ask for XLA's forms")
        jax.clear_caches()
        yield request.param
    jax.clear_caches()


def bits_of(bits):
    return Precision(*map(jnp.int32, bits))


@functools.partial(jax.jit, static_argnums=(4, 5))
def conv_and_gradients(x, w, error, precision, window, exact=True):
    y, back = jax.vjp(lambda x, w: conv(x, w, precision, window, exact), x, w)
    return y, *back(error)


@functools.partial(jax.jit, static_argnums=4)
def dense_and_gradients(x, w, error, precision, exact=True):
    y, back = jax.vjp(lambda x, w: dense(x, w, precision, exact), x, w)
    return y, *back(error)


def out_size(size, kernel, window, axis):
    reach = (kernel - 1) * window.dilation[axis] + 1
    return (size + sum(window.padding[axis]) - reach) // window.strides[axis] + 1


def conv_by_loops(x, w, e, window):
    """y, dx, dw of whole numbers in int64, one kernel offset at a time."""
    padded = np.pad(x, ((0, 0), *window.padding, (0, 0)))
    y, dx, dw = np.zeros(e.shape, np.int64), np.zeros(padded.shape, np.int64), np.zeros(w.shape, np.int64)
    for i, j in np.ndindex(*w.shape[:2]):
        row, col = i * window.dilation[0], j * window.dilation[1]
        rows = slice(row, row + (e.shape[1] - 1) * window.strides[0] + 1, window.strides[0])
        cols = slice(col, col + (e.shape[2] - 1) * window.strides[1] + 1, window.strides[1])
        y += padded[:, rows, cols] @ w[i, j]
        dx[:, rows, cols] += e @ w[i, j].T
        dw[i, j] = np.tensordot(padded[:, rows, cols], e, ([0, 1, 2],) * 2)
    (top, _), (left, _) = window.padding
    return y, dx[:, top : top + x.shape[1], left : left + x.shape[2]], dw


def codes(rng, shape, bits):
    top = 2 ** (bits - 1) - 1
    return rng.integers(-top, top + 1, shape)


def saturated(rng, shape):
    """Positive and close to the largest code: sums grow with every term and end in any digit."""
    return rng.integers(120, 128, shape)


def check(found, whole, bits):
    """Floats are the exact whole numbers, rounded once, times the step of their grid."""
    sw, sa = 2.0 ** (1 - bits[0]), 2.0 ** (1 - bits[1])
    for value, number, step in zip(found, whole, (sa * sw, ERROR_STEP * sw, ERROR_STEP * sa), strict=True):
        np.testing.assert_array_equal(np.asarray(value, np.float64), number.astype(np.float32) * np.float64(step))


def run_conv(x, w, e, bits, window, exact=True):
    steps = (2.0 ** (1 - bits[1]), 2.0 ** (1 - bits[0]), ERROR_STEP)
    operands = (jnp.asarray(n * step, jnp.float32) for n, step in zip((x, w, e), steps, strict=True))
    return conv_and_gradients(*operands, bits_of(bits), window, exact)


def run_dense(x, w, e, exact=True):
    operands = (jnp.asarray(n * step, jnp.float32) for n, step in ((x, 2.0**-7), (w, 2.0**-7), (e, ERROR_STEP)))
    return dense_and_gradients(*operands, bits_of((8, 8, 8)), exact)


def test_loops_are_the_oracle_at_same_padding():
    rng = np.random.default_rng(0)
    x, w, e = codes(rng, (2, 5, 6, 3), 8), codes(rng, (3, 3, 3, 4), 8), codes(rng, (2, 5, 6, 4), 8)
    y, dx, dw = conv_by_loops(x, w, e, SAME)
    np.testing.assert_array_equal(y, contractions_numpy.conv2d(x, w))
    np.testing.assert_array_equal(dx, contractions_numpy.conv2d_error(e, w))
    np.testing.assert_array_equal(dw, contractions_numpy.conv2d_gradient(x, e, (3, 3)))


@pytest.mark.parametrize("name", GEOMETRIES)
def test_conv_of_any_geometry_is_exact(name):
    shape, kernel, c_out, window = GEOMETRIES[name]
    out = (shape[0], *(out_size(shape[1 + axis], kernel[axis], window, axis) for axis in range(2)), c_out)
    for bits in BITS:  # traced: one program
        rng = np.random.default_rng(sum(bits))
        x, w, e = codes(rng, shape, bits[1]), codes(rng, (*kernel, shape[3], c_out), bits[0]), codes(rng, out, bits[2])
        check(run_conv(x, w, e, bits, window), conv_by_loops(x, w, e, window), bits)


@pytest.mark.parametrize(("rows", "c_in", "c_out"), [(5, 7, 3), (1, 1, 1)])
def test_dense_is_exact(rows, c_in, c_out):
    rng = np.random.default_rng(rows)
    x, w, e = codes(rng, (rows, c_in), 8), codes(rng, (c_in, c_out), 8), codes(rng, (rows, c_out), 8)
    check(run_dense(x, w, e), (x @ w, e @ w.T, x.T @ e), (8, 8, 8))


def test_limits_are_those_of_the_formats():
    assert FLOAT32_TERMS * 127**2 < 2**24 <= (FLOAT32_TERMS + 1) * 127**2
    assert INT32_TERMS * 127**2 < 2**31 <= (INT32_TERMS + 1) * 127**2


# Cases in which a plain float32 sum loses digits: (images, Cin, Cout). The longest sum of each, in products:
LONG = {
    "forward and input gradient 1152": ((2, 3, 3, 128), 128),
    "weight gradient 1152, few positions": ((32, 6, 6, 5), 5),
    "weight gradient 1300, many positions": ((13, 10, 10, 5), 5),
    "weight gradient 1500, one row": ((1, 1, 1500, 1), 2),
    "weight gradient 147456, few channels": ((64, 48, 48, 1), 2),
    "weight gradient 147456, many positions": ((64, 48, 48, 5), 2),
}


@pytest.mark.parametrize("name", LONG)
def test_conv_of_saturated_correlated_operands_is_exact(name):
    shape, c_out = LONG[name]
    rng = np.random.default_rng(1)
    x, w, e = (saturated(rng, s) for s in (shape, (3, 3, shape[3], c_out), (*shape[:3], c_out)))
    check(run_conv(x, w, e, (8, 8, 8), SAME), conv_by_loops(x, w, e, SAME), (8, 8, 8))


def test_parts_of_unequal_length_stay_below_the_limit():
    """231 channels of a 3x3 kernel are 2079 products: two parts, but of at most 115 channels each."""
    rng = np.random.default_rng(2)
    x, e = np.full((1, 3, 3, 231), 127), np.full((1, 3, 3, 64), 127)
    w = np.where(rng.random((3, 3, 231, 64)) < 0.05, 126, 127)
    check(run_conv(x, w, e, (8, 8, 8), SAME), conv_by_loops(x, w, e, SAME), (8, 8, 8))


@pytest.mark.parametrize(("rows", "c_in", "c_out"), [(3, 2081, 1100), (1050, 2, 3)])
def test_dense_of_saturated_correlated_operands_is_exact(rows, c_in, c_out):
    rng = np.random.default_rng(2)
    x, w, e = saturated(rng, (rows, c_in)), saturated(rng, (c_in, c_out)), saturated(rng, (rows, c_out))
    check(run_dense(x, w, e), (x @ w, e @ w.T, x.T @ e), (8, 8, 8))


def test_inexact_sums_are_not_split_where_no_kernel_adds_them(kernels):
    rng = np.random.default_rng(1)
    x, w, e = saturated(rng, (2, 8300)), saturated(rng, (8300, 3)), saturated(rng, (2, 3))
    loose, exact = run_dense(x, w, e, exact=False)[0], run_dense(x, w, e)[0]
    np.testing.assert_allclose(loose, exact, rtol=1e-5)
    inexact = jax.jit(lambda *a: dense(*a, bits_of((8, 8, 8)), False))
    program = inexact.lower(jnp.zeros((2, 8300)), jnp.zeros((8300, 3))).as_text()
    assert (program.count("dot_general"), "halo_correlate" in program) == {"xla": (1, False), "native": (0, True)}[
        kernels
    ]


def three_clients(shape, c_out, kernel=(3, 3)):
    rng = np.random.default_rng(3)
    bits = [(8, 8, 8), (2, 4, 4), (6, 8, 6)]
    stacked = []
    for bw, ba, be in bits:
        x, w = codes(rng, shape, ba) * 2.0 ** (1 - ba), codes(rng, (*kernel, shape[3], c_out), bw) * 2.0 ** (1 - bw)
        stacked.append((x, w, codes(rng, (*shape[:3], c_out), be) * ERROR_STEP))
    arrays = [jnp.asarray(np.stack(parts), jnp.float32) for parts in zip(*stacked, strict=True)]
    return (*arrays, Precision(*jnp.asarray(bits, jnp.int32).T))


@pytest.mark.parametrize("shape", [(12, 10, 10, 5), (2, 3, 3, 128)])
def test_vmap_map_and_one_by_one_are_the_same_bits(shape):
    clients = three_clients(shape, 5)
    one = lambda *client: conv_and_gradients(*client, SAME)  # noqa: E731
    by_vmap, by_map = jax.jit(jax.vmap(one))(*clients), jax.jit(lambda *c: lax.map(lambda a: one(*a), c))(*clients)
    for index in range(3):
        alone = one(*jax.tree.map(lambda leaf, index=index: leaf[index], clients))
        for found in (by_vmap, by_map):
            jax.tree.map(lambda a, b, index=index: np.testing.assert_array_equal(a, b[index]), alone, found)


def test_vmap_of_dense_with_shared_inputs():
    rng = np.random.default_rng(4)
    x, e = codes(rng, (4, 6), 8) * 2.0**-7, codes(rng, (4, 3), 8) * ERROR_STEP
    w = jnp.asarray(codes(rng, (3, 6, 3), 8) * 2.0**-7, jnp.float32)
    x, e = jnp.asarray(x, jnp.float32), jnp.asarray(e, jnp.float32)
    found = jax.vmap(dense_and_gradients, (None, 0, None, None))(x, w, e, bits_of((8, 8, 8)))
    for index in range(3):
        alone = dense_and_gradients(x, w[index], e, bits_of((8, 8, 8)))
        jax.tree.map(lambda a, b, index=index: np.testing.assert_array_equal(a, b[index]), alone, found)


def groups(lowered):
    text = lowered.as_text()
    return {int(n) for n in re.findall(r"(?:feature|batch)_group_count = (\d+)", text)}


def test_clients_never_become_groups_of_a_convolution():
    clients = three_clients((1, 9, 9, 5), 5)
    ours = jax.jit(jax.vmap(lambda *client: conv_and_gradients(*client, SAME)))
    assert groups(ours.lower(*clients)) <= {1}
    plain = lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))  # noqa: E731
    assert groups(jax.jit(jax.vmap(plain)).lower(*clients[:2])) == {1, 3}  # what the rule avoids


@pytest.mark.parametrize("name", ["many positions", "strides and dilation"])
def test_without_precision_it_is_the_float_convolution(name):
    shape, kernel, c_out, window = GEOMETRIES[name]
    keys = jax.random.split(jax.random.key(0), 3)
    x, w = jax.random.normal(keys[0], shape), jax.random.normal(keys[1], (*kernel, shape[3], c_out))

    @jax.jit
    def reference(x, w, error):
        names = ("NHWC", "HWIO", "NHWC")
        plain = lambda x, w: lax.conv_general_dilated(  # noqa: E731
            x, w, window.strides, window.padding, rhs_dilation=window.dilation, dimension_numbers=names
        )
        y, back = jax.vjp(plain, x, w)
        return y, *back(error)

    out = (shape[0], *(out_size(shape[1 + axis], kernel[axis], window, axis) for axis in range(2)), c_out)
    error = jax.random.normal(keys[2], out)
    found = conv_and_gradients(x, w, error, None, window, False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, reference(x, w, error))


def test_errors_off_their_grid_are_fitted_before_they_are_multiplied():
    rng = np.random.default_rng(5)
    x, w, bits = codes(rng, (4, 6), 8), codes(rng, (6, 3), 8), Precision(*map(jnp.int32, (8, 8, 4)))
    error = np.array([[1, -3, 5], [7, 11, -13], [2, 0, 100], [70, 9, -4]], np.float32)
    fitted = np.array([[0, 0, 0], [0, 16, -16], [0, 0, 96], [64, 16, 0]])  # whole multiples of 16, half to even
    _, dx, dw = dense_and_gradients(*(jnp.asarray(n / 128, jnp.float32) for n in (x, w)), jnp.asarray(error), bits)
    np.testing.assert_array_equal(dx, fitted @ w.T / 128)
    np.testing.assert_array_equal(dw, x.T @ fitted / 128)


def node_names(program):
    """The names of all calls in a traced program, in order, without looking into ours."""
    for eqn in program.eqns:
        name = eqn.params.get("name", "")
        if named_layer(str(name)):
            yield name
        elif "jaxpr" in eqn.params:
            yield from node_names(getattr(eqn.params["jaxpr"], "jaxpr", eqn.params["jaxpr"]))


def test_the_traced_program_names_the_layers():
    x, w = jnp.zeros((2, 8, 9, 3)), jnp.zeros((3, 2, 3, 4))
    window = Window((2, 1), ((1, 1), (0, 3)), (1, 2))
    run = jax.checkpoint(
        lambda x: dense(conv(x, w, bits_of((8, 8, 8)), window).reshape(2, -1), jnp.zeros((160, 5)), None)
    )
    names = list(node_names(jax.make_jaxpr(run)(x).jaxpr))
    assert names == ["halo_conv_k3x2_c3x4_o4x10_s2x1_d1x2", "halo_dense_k1x1_c160x5_o2x1_s1x1_d1x1"]
    assert [named_layer(name) for name in names] == [
        LayerShape((3, 2), 3, 4, (4, 10), (2, 1), (1, 2)),
        LayerShape((1, 1), 160, 5, (2, 1)),
    ]


def test_any_other_name_is_no_layer():
    shape = LayerShape((3, 2), 3, 4, (4, 10), (2, 1), (1, 2))
    assert named_layer(layer_name("conv", shape)) == shape
    assert [named_layer(name) for name in ("", "relu", "halo_conv", f"my_{layer_name('conv', shape)}")] == [None] * 4

"""Block floating point against its NumPy twin, to the bit, and the twin against numbers worked out by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from halo_jax.numerics.arithmetic import FLOAT32
from halo_jax.numerics.layers import QuantConv, QuantDense, max_pool
from halo_jax.recipes import bfp
from halo_jax.types import Precision
from tests.oracles import bfp_numpy as twin

LAYERS = [("conv", True), ("conv", False), ("dense",)]
WIDTHS = (5, 6, 4)
SHAPE = (4, 6, 7, 2)
BITS = [(3, 3, 3), (4, 4, 4), (8, 8, 8), (3, 8, 4), (8, 4, 3), (4, 3, 8), (2, 6, 2), (8, 2, 5)]
every = pytest.mark.parametrize("bits", BITS, ids=lambda bits: "-".join(map(str, bits)))


class Net(nn.Module):
    """Convolution, pool, ReLU, convolution, ReLU, dense head, with a tap on every layer's output."""

    numerics: object

    @nn.compact
    def __call__(self, x, precision):
        x = self.perturb("tap0", QuantConv(WIDTHS[0], numerics=self.numerics)(x, precision))
        x = nn.relu(max_pool(x))
        x = nn.relu(self.perturb("tap1", QuantConv(WIDTHS[1], numerics=self.numerics)(x, precision)))
        head = QuantDense(WIDTHS[2], head=True, numerics=self.numerics)
        return self.perturb("tap2", head(x.reshape(len(x), -1), precision))


@functools.cache
def program(numerics):
    """(weights, images, the logits' errors, precision) -> logits, errors, weight gradients, errors at the images."""
    module = Net(numerics)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(SHAPE), Precision(8, 8, 8))
    zeros = jax.tree.map(lambda tap: jnp.zeros(tap.shape), shapes["perturbations"])
    names = ("QuantConv_0", "QuantConv_1", "QuantDense_0")

    @jax.jit
    def run(weights, images, e_top, precision):
        def logits(weights, taps, images):
            params = {name: {"kernel": weight} for name, weight in zip(names, weights, strict=True)}
            return module.apply({"params": params, "perturbations": taps}, images, precision)

        y, pull = jax.vjp(logits, weights, zeros, images)
        gradients, errors, below = pull(e_top)
        return y, [errors[f"tap{i}"] for i in range(len(LAYERS))], gradients, below

    return run


def ours(weights, images, e_top, bits, numerics=None):
    """The same as the twin's, of our layers."""
    precision = Precision(*map(jnp.int32, bits))
    weights = [jnp.asarray(weight, jnp.float32) for weight in weights]
    arrays = jnp.asarray(images, jnp.float32), jnp.asarray(e_top, jnp.float32)
    return program(numerics or bfp().numerics)(weights, *arrays, precision)


def theirs(weights, images, e_top, bits):
    logits, tape = twin.forward(LAYERS, weights, images, *bits[:2])
    return logits, *twin.backward(LAYERS, tape, e_top, bits)


def assert_equal(found, right):
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a, np.float64), b), list(found), list(right))


def problem(seed):
    """Weights and images whose channels and examples are of different sizes, and errors."""
    rng = np.random.default_rng(seed)
    flat = SHAPE[1] // 2 * (SHAPE[2] // 2) * WIDTHS[1]
    shapes = [(3, 3, SHAPE[3], WIDTHS[0]), (3, 3, WIDTHS[0], WIDTHS[1]), (flat, WIDTHS[2])]
    weights = [rng.integers(-127, 128, shape) / 128 * 2.0 ** -(np.arange(shape[-1]) % 3) for shape in shapes]
    scales = 2.0 ** rng.integers(-6, 7, (SHAPE[0], 1, 1, 1))
    images = np.float32(rng.normal(size=SHAPE) * scales)
    return weights, images, np.float32(rng.normal(size=(SHAPE[0], WIDTHS[2])))


@every
@pytest.mark.parametrize("seed", range(3))
def test_a_network_equals_the_twin(bits, seed):
    weights, images, e_top = problem(seed)
    right = theirs(weights, images, e_top, bits)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(right[:3]))
    assert_equal(ours(weights, images, e_top, bits), right)


def blocks_at_the_edges():
    """Examples and channels of zeros, of a largest number that is a power of two or just below one, and tiny ones."""
    weights, images, e_top = problem(7)
    images[0] = 0
    images[1] = np.clip(images[1] / np.abs(images[1]).max(), -1, 1) / 4  # 2^-2
    images[2] *= np.float32(np.nextafter(np.float32(1), np.float32(0)) / np.abs(images[2]).max())
    images[3] *= 2.0**-60 / np.abs(images[3]).max()
    for weight in weights:
        weight[..., 0] = 0
        weight[..., 1] *= 0.5 / np.abs(weight[..., 1]).max()
        weight[..., 2] = np.round(weight[..., 2] / np.abs(weight[..., 2]).max() * 127) / 128
        weight[..., 3] *= 2.0**-40
    return [np.float32(weight) for weight in weights], images, e_top


@every
def test_blocks_at_the_edges_equal_the_twin(bits):
    weights, images, e_top = blocks_at_the_edges()
    assert_equal(ours(weights, images, e_top, bits), theirs(weights, images, e_top, bits))


@every
@pytest.mark.parametrize("scale", [0, 2.0**-30, 2.0**20, 2.0**-149])
def test_errors_of_any_size_equal_the_twin(bits, scale):
    """Zero; a power of two in front, which changes nothing; too small for a normal float32, which is zero."""
    weights, images, e_top = problem(8)
    small = np.float32(e_top * scale)
    right = theirs(weights, images, small, bits)
    assert_equal(ours(weights, images, small, bits), right)
    if scale in (0, 2.0**-149):
        assert not any(np.any(gradient) for gradient in right[2])
    else:
        assert_equal(right[2], [scale * gradient for gradient in theirs(weights, images, e_top, bits)[2]])


def slope(found, plain):
    """The factor by which `found` is `plain`, by least squares over all axes but the last."""
    found, plain = np.asarray(found), np.asarray(plain)
    axes = tuple(range(plain.ndim - 1))
    return (found * plain).sum(axes) / (plain**2).sum(axes)


def test_many_bits_come_near_float32():
    """Scales are where they belong: a power of two too many in any channel or example would make a factor of 2."""
    weights, images, e_top = problem(9)
    images = images / np.abs(images).max((1, 2, 3), keepdims=True) * np.float32([0.4, 0.9, 1.7, 3])[:, None, None, None]
    logits, _, gradients, below = ours(weights, images, e_top, (8, 8, 8))
    plain, _, plain_gradients, plain_below = ours(weights, images, e_top, (8, 8, 8), FLOAT32)
    alphas = np.prod([twin.alpha(twin.fan_in(weight)) for weight in weights])
    pairs = [(logits, plain), (logits.T, plain.T), *zip(gradients, plain_gradients, strict=True)]
    for found, right in [*pairs, (below.T, plain_below.T)]:  # transposed: examples last
        np.testing.assert_array_equal(np.rint(np.log2(slope(found * alphas, right))), 0)


# --- the twin by hand


def test_codes_of_a_block_by_hand():
    """E = 1: steps of 2^(1 + 2 - 4) = 1/2; 2.75 is 5.5 of them, a tie, and goes to the even 6; -3.9 saturates."""
    codes, e = twin.encode(np.array([2.75, -3.9, 0.25, 0.3, 0]), 4, (0,))
    assert (codes.tolist(), e.tolist()) == ([6, -7, 0, 1, 0], [1])


def test_a_largest_number_that_is_a_power_of_two_is_half_of_the_grid():
    for k in range(2, 9):
        codes, e = twin.encode(np.array([[0.5, 0.25], [0.49999, 0.1], [0, 0]]), k, (1,))
        assert e.tolist() == [[-1], [-2], [0]]
        assert codes[0].tolist() == [2 ** (k - 2), 2 ** (k - 3) if k > 2 else 0]
        assert codes[1, 0] == 2 ** (k - 1) - 1
        assert codes[2].tolist() == [0, 0]


def test_a_dense_layer_by_hand():
    """At 3 bits x = 1.5 and -1 (E = 0, s = 2) are codes 3 and -2 of 1/2; W = 3/8 (E = -2) is 3 of 1/8: y = 3/16.

    d = Q(s t e / alpha) = Q(2 * 1/2 * 3) = 3 (E = 1, code 3 of 1); dW = a d / t with a = 3/4 and -1/2, t = 1/2.
    """
    x, w = np.array([[1.5, -1.0]]), np.array([[0.375], [0.375]])
    logits, tape = twin.forward([("dense",)], [w], x, 3, 3)
    assert tape[0]["na"].tolist() == [[3, -2]]
    assert tape[0]["nw"].tolist() == [[3], [3]]
    assert logits.tolist() == [[0.1875]]
    errors, gradients, below = twin.backward([("dense",)], tape, np.array([[3.0]]), (3, 3, 3))
    assert errors[0].tolist() == [[3.0]]
    assert gradients[0].tolist() == [[4.5], [-3.0]]
    assert below.tolist() == [[1.125, 1.125]]

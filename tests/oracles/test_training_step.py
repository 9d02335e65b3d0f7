"""One whole training step of our layers against the NumPy integer twin and the qtorch vectors: every code equal."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from halo_jax.federation.local_data import normalise
from halo_jax.numerics.layers import QuantConv, QuantDense, max_pool
from halo_jax.numerics.quantize import quantize_error, to_grid
from halo_jax.recipes.base import squared_error
from halo_jax.recipes.wage import to_codes, weight_update
from halo_jax.types import Precision
from tests.oracles import wage_numpy

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "qtorch_vectors.npz", allow_pickle=False)
PRECISIONS = ("888", "646", "244")


class Chain(nn.Module):
    """Layers in a row, as the oracle's list describes them, with a tap on every raw output."""

    layers: tuple[tuple, ...]
    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, x, precision):
        last = len(self.layers) - 1
        for index, (layer, width) in enumerate(zip(self.layers, self.widths, strict=True)):
            if layer[0] == "dense":
                x = QuantDense(width, head=index == last)(x.reshape(x.shape[0], -1), precision)
            else:
                x = QuantConv(width)(x, precision)
            x = self.perturb(f"tap{index}", x)
            x = max_pool(x) if layer[0] == "conv" and layer[1] else x
            x = x if index == last else nn.relu(x)
        return x


@functools.cache
def program(layers, widths, image_shape):
    """The jitted step of one network; bits, weights and images are data."""
    module = Chain(layers, widths)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(image_shape), Precision(8, 8, 8))
    zeros = jax.tree.map(lambda tap: np.zeros(tap.shape, np.float32), shapes["perturbations"])

    @jax.jit
    def both(params, images, labels, mask, precision):
        def loss(params, taps):
            logits = module.apply({"params": params, "perturbations": taps}, normalise(images), precision)
            return jnp.sum(squared_error(logits, labels) * mask[:, None]), logits

        return jax.grad(loss, (0, 1), has_aux=True)(params, zeros)

    return both, sorted(shapes["params"], key=lambda name: (name.startswith("QuantDense"), name))


def run(layers, masters, images, labels, mask, bits):
    """Weights, weight gradients, errors and logits of our layers, as real numbers."""
    both, names = program(tuple(layers), tuple(master.shape[-1] for master in masters), images.shape)
    precision = Precision(*(jnp.int32(k) for k in bits))
    params = {name: {"kernel": np.float32(m / 128)} for name, m in zip(names, masters, strict=True)}
    mask = jnp.asarray(mask, jnp.float32)
    (gradients, errors), logits = both(params, jnp.asarray(images), jnp.asarray(labels), mask, precision)
    params, gradients = ([tree[name]["kernel"] for name in names] for tree in (params, gradients))
    errors = [errors[f"tap{i}"] for i in range(len(layers))]
    _, head = jax.vjp(lambda x: quantize_error(x, bits[2]), errors[-1])  # the head quantises the loss's errors inside
    return params, gradients, [*errors[:-1], head(errors[-1])[0]], logits


def weight_codes(weight, bits):
    return np.asarray(to_grid(weight, bits)) * 2 ** (bits - 1)


@jax.jit
def new_masters(params, gradients, noise, learning_rate):
    step = functools.partial(weight_update, learning_rate=learning_rate)
    return to_codes(jax.tree.map(lambda w, g, u: w + step(g, w, u), params, gradients, noise))


def assert_same_up_to_power_of_two(real, codes):
    """Our floats are the oracle's whole numbers times one power of two."""
    real, codes = np.asarray(real, np.float64), np.asarray(codes, np.float64)
    peak = np.abs(codes).max()
    scale = np.abs(real).max() / peak if peak else 1.0
    assert scale == 2.0 ** np.round(np.log2(scale))
    np.testing.assert_array_equal(real, codes * scale)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRECISIONS)
def test_step_equals_qtorch_vectors(name):
    layers = [("dense",) if text == "dense" else ("conv", text == "conv pool") for text in GOLDEN["step_layers"]]
    masters = [GOLDEN[f"step_m{i}"] for i in range(len(layers))]
    bits = [int(k) for k in name]
    data = (GOLDEN["step_images"], GOLDEN["step_labels"], GOLDEN["step_mask"])
    params, gradients, errors, logits = run(layers, masters, *data, bits)
    np.testing.assert_array_equal(logits, GOLDEN[f"step_{name}_logits"])
    for i in range(len(layers)):
        np.testing.assert_array_equal(weight_codes(params[i], bits[0]), GOLDEN[f"step_{name}_w{i}"])
        assert_same_up_to_power_of_two(errors[i], GOLDEN[f"step_{name}_e{i}"])
        assert_same_up_to_power_of_two(gradients[i], GOLDEN[f"step_{name}_g{i}"])
    noise = [GOLDEN[f"step_u{i}"] for i in range(len(layers))]
    for label, eta in (("eta8", 8.0), ("eta1", 1.0), ("eta0125", 0.125)):
        for i, master in enumerate(new_masters(params, gradients, noise, eta)):
            np.testing.assert_array_equal(master, GOLDEN[f"step_{name}_m{i}_{label}"])


VGG7 = [("conv", False), ("conv", True)] * 3 + [("dense",)] * 2


@pytest.mark.parametrize("bits", [(8, 8, 8), (6, 4, 6), (2, 4, 4), (8, 4, 6)])
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 12, 3)])
def test_vgg7_step_equals_the_integer_twin(bits, shape):
    rng = np.random.default_rng(sum(bits) + shape[0])
    widths = [8, 8, 16, 16, 32, 32, 16, 10]
    fan_in, masters = shape[2], []
    for layer, width in zip(VGG7, widths, strict=True):
        dense = layer == ("dense",)
        if dense and masters[-1].ndim == 4:
            fan_in *= (shape[0] // 8) * (shape[1] // 8)
        kernel = (fan_in, width) if dense else (3, 3, fan_in, width)
        masters.append(rng.integers(-127, 128, kernel))
        fan_in = width
    images = rng.integers(0, 256, (6, *shape)).astype(np.uint8)
    labels, mask = rng.integers(0, 10, 6), np.array([1, 1, 1, 0, 1, 1])
    noise = [rng.integers(0, 2**16, m.shape) / 2.0**16 for m in masters]
    expected, between = wage_numpy.step(VGG7, masters, images, labels, mask, bits, 8, noise)
    params, gradients, errors, logits = run(VGG7, masters, images, labels, mask, bits)
    np.testing.assert_array_equal(np.asarray(logits, np.float64), between["logits"])
    for i in range(8):
        np.testing.assert_array_equal(weight_codes(params[i], bits[0]), between["w"][i])
        assert_same_up_to_power_of_two(errors[i], between["e"][i])
        assert_same_up_to_power_of_two(gradients[i], between["g"][i])
    noise = [np.float32(u) for u in noise]
    for master, right in zip(new_masters(params, gradients, noise, 8.0), expected, strict=True):
        np.testing.assert_array_equal(master, right)

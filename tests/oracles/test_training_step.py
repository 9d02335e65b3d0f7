"""One whole training step of our layers against the NumPy integer twin and the qtorch vectors: every code equal."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from halo_jax.layers import QuantConv, QuantDense, max_pool
from halo_jax.quantize import levels, quantize_error, quantize_weight
from halo_jax.recipes.base import squared_error
from halo_jax.recipes.wage import from_codes, to_codes, weight_update
from halo_jax.training import normalise
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


def run(layers, masters, images, labels, mask, bits):
    """Logits, weight gradients and errors of our layers, as real numbers."""
    module = Chain(tuple(layers), tuple(master.shape[-1] for master in masters))
    precision = Precision(*(jnp.int32(k) for k in bits))
    variables = module.init(jax.random.key(0), normalise(images), precision)
    names = sorted(variables["params"], key=lambda name: (name.startswith("QuantDense"), name))
    params = {name: {"kernel": from_codes(jnp.asarray(m, jnp.int8))} for name, m in zip(names, masters, strict=True)}

    @jax.jit
    def both(params, taps, precision):
        def loss(params, taps):
            logits = module.apply({"params": params, "perturbations": taps}, normalise(images), precision)
            return jnp.sum(squared_error(logits, labels) * mask[:, None]), logits

        return jax.grad(loss, (0, 1), has_aux=True)(params, taps)

    (gradients, errors), logits = both(params, variables["perturbations"], precision)
    params, gradients = ([tree[name]["kernel"] for name in names] for tree in (params, gradients))
    errors = [errors[f"tap{i}"] for i in range(len(layers))]
    _, head = jax.vjp(lambda x: quantize_error(x, bits[2]), errors[-1])  # the head quantises the loss's errors inside
    return params, gradients, [*errors[:-1], head(errors[-1])[0]], logits


def assert_same_up_to_power_of_two(real, codes):
    """Our floats are the oracle's whole numbers times one power of two."""
    real, codes = np.asarray(real, np.float64), np.asarray(codes, np.float64)
    peak = np.abs(codes).max()
    scale = np.abs(real).max() / peak if peak else 1.0
    assert scale == 2.0 ** np.round(np.log2(scale))
    np.testing.assert_array_equal(real, codes * scale)


@pytest.mark.parametrize("name", PRECISIONS)
def test_step_equals_qtorch_vectors(name):
    layers = [("dense",) if text == "dense" else ("conv", text == "conv pool") for text in GOLDEN["step_layers"]]
    masters = [GOLDEN[f"step_m{i}"] for i in range(len(layers))]
    bits = [int(k) for k in name]
    mask = jnp.asarray(GOLDEN["step_mask"], jnp.float32)
    images, labels = jnp.asarray(GOLDEN["step_images"]), jnp.asarray(GOLDEN["step_labels"])
    params, gradients, errors, logits = run(layers, masters, images, labels, mask, bits)
    np.testing.assert_array_equal(logits, GOLDEN[f"step_{name}_logits"])
    for i in range(len(layers)):
        codes = quantize_weight(params[i], bits[0]) * levels(bits[0])
        np.testing.assert_array_equal(codes, GOLDEN[f"step_{name}_w{i}"])
        assert_same_up_to_power_of_two(errors[i], GOLDEN[f"step_{name}_e{i}"])
        assert_same_up_to_power_of_two(gradients[i], GOLDEN[f"step_{name}_g{i}"])
        for label, eta in (("eta8", 8.0), ("eta1", 1.0), ("eta0125", 0.125)):
            noise = jnp.asarray(GOLDEN[f"step_u{i}"], jnp.float32)
            new = params[i] + weight_update(gradients[i], params[i], noise, learning_rate=eta)
            np.testing.assert_array_equal(to_codes(new), GOLDEN[f"step_{name}_m{i}_{label}"])


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
    params, gradients, errors, logits = run(
        VGG7, masters, jnp.asarray(images), jnp.asarray(labels), jnp.asarray(mask, jnp.float32), bits
    )
    np.testing.assert_array_equal(np.asarray(logits, np.float64), between["logits"])
    for i in range(8):
        np.testing.assert_array_equal(quantize_weight(params[i], bits[0]) * levels(bits[0]), between["w"][i])
        assert_same_up_to_power_of_two(errors[i], between["e"][i])
        assert_same_up_to_power_of_two(gradients[i], between["g"][i])
        new = params[i] + weight_update(
            gradients[i], params[i], jnp.asarray(noise[i], jnp.float32), learning_rate=8.0
        )
        np.testing.assert_array_equal(to_codes(new), expected[i])

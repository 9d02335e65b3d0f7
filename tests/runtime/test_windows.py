"""Windows of any shape, crops and padding beyond the kernel too: every form adds up the same whole numbers."""

import importlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.numerics import contraction_accelerator, contraction_cpu, native
from halo_jax.numerics.contraction import conv
from halo_jax.numerics.exact_sums import Operand, Window
from halo_jax.numerics.layers import QuantConv
from halo_jax.types import Precision

BITS = Precision(*map(jnp.int32, (8, 8, 8)))

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "proofs"))
whole_numbers = importlib.import_module("whole_numbers")


def draw(rng, kind):
    """Images, kernel and window, with an output of at least one pixel.

    Of the kinds, "any" pads from crops to more than the kernel, at strides and dilations. The other two move the image
    inside its window, for the forward pass or for the errors on their way back: what XLA's convolution gets wrong.
    """
    while True:
        kernel, in_hw = rng.integers(1, 6, 2), rng.integers(1, 8, 2)
        before = rng.integers(-2, 1, 2)
        padding = np.stack([before, rng.integers(0, 1 - before)], 1)
        padding = {"any": rng.integers(-4, 8, (2, 2)), "back": kernel[:, None] - 1 - padding}.get(kind, padding)
        steps = rng.integers(1, 4, (2, 2)) if kind == "any" else np.ones((2, 2), int)
        window = Window(pair(steps[0]), (pair(padding[0]), pair(padding[1])), pair(steps[1]))
        if min(whole_numbers.sizes(pair(in_hw), pair(kernel), window)) > 0:
            break
    c_in, c_out = rng.choice([1, 5, 6, 17], 2).tolist()
    return (int(rng.integers(1, 4)), *pair(in_hw), c_in), (*pair(kernel), c_in, c_out), window


def pair(numbers):
    first, second = numbers.tolist()
    return first, second


def forms(window):
    """Name, module and what else it takes, of each form that serves the window."""
    plain = window.strides == window.dilation == (1, 1)
    served = [
        ("canonical", contraction_cpu, {}),
        ("bf16", contraction_accelerator, {}),
        ("int8", contraction_accelerator, {"codes": True}),
    ]
    return served + [("native", native, {})] * (plain and not native.why_not())


def all_contractions(x, w, error, unit, window):
    """The three contractions in every form; `unit` None: in plain float32."""
    x, w, error = (Operand(values, unit) for values in (x, w, error))
    found = {}
    for name, form, how in forms(window) if unit is not None else forms(window)[:2]:
        how = {**how, "window": window, "exact": unit is not None}
        found[name] = (
            form.correlate(x, w, **how),
            form.input_gradient(error, w, in_hw=x.values.shape[1:3], **how),
            form.weight_gradient(x, error, kernel=w.values.shape[:2], **how),
        )
    return found


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", ["any", "forward", "back"])
def test_every_form_adds_up_the_whole_numbers(kind, seed):
    rng = np.random.default_rng(seed)
    images, kernel, window = draw(rng, kind)
    out = (images[0], *whole_numbers.sizes(images[1:3], kernel[:2], window), kernel[3])
    operands = [rng.integers(-127, 128, shape) for shape in (images, kernel, out)]
    expected = whole_numbers.contractions(*operands, window)
    floats = [jnp.asarray(codes, jnp.float32) for codes in operands]
    run = jax.jit(lambda *a: [all_contractions(*a, unit, window) for unit in (jnp.float32(1), None)])
    for found in run(*floats):
        for name, results in found.items():
            for result, exact in zip(results, expected, strict=True):
                np.testing.assert_array_equal(result, exact, name)


def gradients(images):
    """Of two convolutions, the second with leading padding beyond its kernel."""
    layers = QuantConv(8), QuantConv(8, kernel_size=(2, 3), padding=((2, 0), (2, 2)))
    keys = jax.random.split(jax.random.key(1), 2)
    hidden = jax.eval_shape(lambda: layers[0].init_with_output(keys[0], images, BITS)[0])
    kernels = [
        layer.init(key, x, BITS)["params"]
        for layer, key, x in zip(layers, keys, (images, jnp.zeros(hidden.shape)), strict=True)
    ]

    def loss(kernels):
        x = images
        for layer, kernel in zip(layers, kernels, strict=True):
            x = layer.apply({"params": kernel}, x, BITS)
        return (x**2).sum()

    jax.clear_caches()  # which form runs is chosen while tracing
    return [np.asarray(kernel["kernel"]) for kernel in jax.jit(jax.grad(loss))(kernels)]


@pytest.mark.slow
def test_gradients_through_leading_padding_beyond_the_kernel_are_those_of_every_form(monkeypatch):
    images = jax.random.uniform(jax.random.key(0), (2, 9, 8, 3), minval=-1, maxval=1)
    expected = gradients(images)
    assert np.abs(expected[0]).sum() > 100
    for asked in ("bf16", "int8", "xla"):
        monkeypatch.setenv("HALO_JAX_KERNELS", asked)
        if asked == "xla":
            monkeypatch.setattr(native, "why_not", lambda: "HALO_JAX_KERNELS=xla")
        for found, right in zip(gradients(images), expected, strict=True):
            np.testing.assert_array_equal(found, right)
    jax.clear_caches()


@pytest.mark.parametrize(("height", "stride"), [(1, 1), (2, 1), (2, 2)])
def test_a_kernel_larger_than_the_padded_image_is_refused(height, stride):
    images, kernel = jnp.zeros((2, height, 5, 3)), jnp.zeros((3, 3, 3, 4))
    with pytest.raises(ValueError, match=rf"^a 3x3 kernel does not fit into padded images of {height}x7$"):
        conv(images, kernel, BITS, Window((stride, 1), ((0, 0), (1, 1))))

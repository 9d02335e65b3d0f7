"""Layer shapes found by tracing: VGG7 as typed by hand, layers ours and others', arguments, names and error lines."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from flax import nnx

from halo_jax.models import VGG7, Skipped, SmallCNN, layer_shapes, trace_layers
from halo_jax.numerics.contraction import KERNELS
from halo_jax.numerics.layers import QuantConv, QuantDense, max_pool
from halo_jax.numerics.wage import Numerics
from halo_jax.types import LayerShape, Precision
from tests.golden import vgg7_shapes

IMAGES = {"cifar10": ((32, 32, 3), 10), "emnist": ((28, 28, 1), 47), "tiny_imagenet": ((64, 64, 3), 200)}


@pytest.mark.parametrize("dataset", IMAGES)
def test_vgg7_has_the_papers_layers(dataset):
    image, classes = IMAGES[dataset]
    assert layer_shapes(VGG7(classes), image) == vgg7_shapes.VGG7[dataset]


def test_vgg7_has_the_papers_number_of_weights():
    shapes = layer_shapes(VGG7(10), (32, 32, 3))
    assert sum(s.kernel[0] * s.kernel[1] * s.c_in * s.c_out for s in shapes) == 6_674_304


@pytest.mark.parametrize("numerics", [None, Numerics(order="neurosim", input_bits=8, error_rounding="stochastic")])
def test_arithmetic_does_not_change_the_layers(numerics):
    assert layer_shapes(VGG7(10, numerics=numerics), (32, 32, 3)) == vgg7_shapes.CIFAR10


def test_width_multiplies_all_hidden_channels():
    assert [(s.c_in, s.c_out) for s in layer_shapes(VGG7(10, width=0.5), (32, 32, 3))] == [
        (3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (4096, 128), (128, 10),
    ]  # fmt: skip
    assert {s.c_out for s in layer_shapes(VGG7(10, width=1e-6), (8, 8, 1))} == {1, 10}


def test_small_cnn_drops_odd_rows():
    assert layer_shapes(SmallCNN(7), (9, 11, 3)) == (
        LayerShape((3, 3), 3, 32, (9, 11)),
        LayerShape((3, 3), 32, 64, (4, 5)),
        LayerShape((1, 1), 2 * 2 * 64, 7, (1, 1)),
    )


def test_small_images_are_refused():
    with pytest.raises(ValueError, match="images are 7x9, need 8x8"):
        layer_shapes(VGG7(10), (7, 9, 1))


class Mixed(nn.Module):
    """Our layers between those of linen, some inside a rematerialised block."""

    @nn.compact
    def __call__(self, x, precision=None):
        x = nn.Conv(6, (5, 3), strides=(2, 1), kernel_dilation=(1, 2), padding="VALID")(x)
        x = QuantConv(8, strides=(2, 2))(nn.relu(x), precision)
        x = nn.Conv(8, (3, 3), feature_group_count=4)(x)
        x = max_pool(nn.LayerNorm()(x))
        x = nn.Dense(5)(x)  # over every position
        x = x.reshape(x.shape[0], -1)
        x = QuantDense(4)(jax.nn.gelu(x), precision)
        return nn.remat(nn.Dense)(3)(x)


def test_layers_that_are_not_ours_are_found_in_order():
    assert layer_shapes(Mixed(), (16, 12, 2)) == (
        LayerShape((5, 3), 2, 6, (6, 8), (2, 1), (1, 2)),
        LayerShape((3, 3), 6, 8, (3, 4), (2, 2)),
        LayerShape((3, 3), 8, 8, (3, 4), groups=4),
        LayerShape((1, 1), 8, 5, (2, 1)),
        LayerShape((1, 1), 10, 4, (1, 1)),
        LayerShape((1, 1), 4, 3, (1, 1)),
    )


class Rematerialised(nn.Module):
    @nn.compact
    def __call__(self, x, precision=None):
        x = nn.remat(QuantConv)(4)(x, precision)
        return QuantDense(3, head=True)(x.reshape(x.shape[0], -1), precision)


def test_rematerialised_layers_count_once():
    assert layer_shapes(Rematerialised(), (4, 4, 1)) == (
        LayerShape((3, 3), 1, 4, (4, 4)),
        LayerShape((1, 1), 64, 3, (1, 1)),
    )


class Pooling(nn.Module):
    @nn.compact
    def __call__(self, x, precision=None):
        return x.mean((1, 2)) * jnp.float32(2)


def test_a_model_without_layers_is_refused():
    with pytest.raises(ValueError, match="Pooling has no convolution or dense layer"):
        layer_shapes(Pooling(), (8, 8, 1))


def test_vgg7_has_names_and_skips_what_it_computes_besides():
    traced = trace_layers(VGG7(10, numerics=None), (32, 32, 3))
    assert traced.layers == layer_shapes(VGG7(10), (32, 32, 3))
    assert traced.names == (*(f"QuantConv_{index}" for index in range(6)), "QuantDense_0", "QuantDense_1")
    pooled = 16 * 16 * 128 + 8 * 8 * 256 + 4 * 4 * 512  # of 4 values: 3 comparisons each
    activated = 32 * 32 * 128 + 16 * 16 * 256 + 8 * 8 * 512 + pooled + 256
    assert traced.skipped == (Skipped("max", "not a MAC", 3 * 3 + 7, 0, 3 * pooled + activated),)


@pytest.fixture(params=KERNELS)
def kernels(request, monkeypatch):
    monkeypatch.setenv("HALO_JAX_KERNELS", request.param)
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


@pytest.mark.usefixtures("kernels")
def test_kernels_do_not_change_the_layers():
    assert layer_shapes(VGG7(10), (32, 32, 3)) == vgg7_shapes.CIFAR10
    assert len(layer_shapes(Mixed(), (16, 12, 2))) == 6


def test_precision_may_be_given_or_have_arrays():
    for bits in (Precision(2, 4, 4), Precision(*map(jnp.int32, (2, 4, 4))), Precision(*jnp.full((3, 8), 4))):
        assert layer_shapes(VGG7(10), (32, 32, 3), precision=bits) == vgg7_shapes.CIFAR10


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, x, bits, *, other, train):
        y = QuantDense(5)(x, bits) + nn.Dense(5)(other)
        return nn.Dropout(0.5, deterministic=not train)(y)


def test_arrays_that_the_call_takes_are_inputs_too():
    for other in (jnp.ones((1, 7)), jax.ShapeDtypeStruct((1, 7), jnp.float32)):
        traced = trace_layers(TwoInputs(), (3,), other=other, train=True)
        assert traced.layers == (LayerShape((1, 1), 3, 5, (1, 1)), LayerShape((1, 1), 7, 5, (1, 1)))
        assert traced.names == ("QuantDense_0", "Dense_0")


class Unused(nn.Module):
    @nn.compact
    def __call__(self, x):
        nn.Dense(7)(x)
        self.sow("intermediates", "dead", jnp.sin(nn.Dense(9)(x)))
        return {"logits": nn.Dense(5)(x)}


def test_what_the_results_do_not_need_does_not_count():
    traced = trace_layers(Unused(), (3,))
    assert traced.layers == (LayerShape((1, 1), 3, 5, (1, 1)),)
    assert traced.names == ("Dense_2",)
    assert traced.skipped == (Skipped("add", "not a MAC", 1, 0, 5),)


LINES = {
    "takes no argument 'trian', only bits, other, train": (TwoInputs(), (3,), {"trian": True}),
    "TwoInputs also needs other, train: give it by name, other=...": (TwoInputs(), (3,), {}),
    "input_shape=(3, -1); give the whole sizes of one example": (nn.Dense(3), (3, -1), {}),
    "input_shape=3; give": (nn.Dense(3), 3, {}),
    "input_shape=(3.5,); give": (nn.Dense(3), (3.5,), {}),
    "is no Flax module; give an instance": (VGG7, (8, 8, 3), {}),
    "of shape (1, 8, 8, 3) (without a batch axis), float32: ": (SmallCNN(10), (1, 8, 8, 3), {}),
    "Embed does not run on one example of shape (3,) (without a batch axis), float32: ": (nn.Embed(4, 5), (3,), {}),
    "Linear does not run on one example of shape (3,) (without a batch axis), float32: dot_general requires": (
        nnx.eval_shape(lambda: nnx.Linear(4, 5, rngs=nnx.Rngs(0))),
        (3,),
        {},
    ),
    "Embed has no convolution or dense layer to price": (nn.Embed(4, 5), (3,), {"dtype": jnp.int32}),
}


@pytest.mark.parametrize("line", LINES)
def test_wrong_input_is_refused_in_one_line(line):
    module, input_shape, kwargs = LINES[line]
    with pytest.raises(ValueError) as error:  # noqa: PT011
        layer_shapes(module, input_shape, **kwargs)
    assert line in str(error.value)
    assert "\n" not in str(error.value)

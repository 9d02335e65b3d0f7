"""Layer shapes found by tracing: VGG7 as typed by hand, and layers that are not ours."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from halo_jax.layers import QuantConv, QuantDense, max_pool
from halo_jax.models import VGG7, SmallCNN, layer_shapes
from halo_jax.quantize import Numerics
from halo_jax.types import LayerShape
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

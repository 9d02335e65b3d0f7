"""Models: networks of low-precision layers. Add one: a file here and a line in MODELS."""

from halo_jax.models.base import MakeModel
from halo_jax.models.layer_shapes import layer_shapes
from halo_jax.models.small_cnn import SmallCNN
from halo_jax.models.vgg7 import VGG7

MODELS: dict[str, MakeModel] = {
    "vgg7": VGG7,
    "small_cnn": SmallCNN,
}

__all__ = ["MODELS", "VGG7", "SmallCNN", "layer_shapes"]

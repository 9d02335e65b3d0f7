"""Models: networks of low-precision layers. Add one: a file here and a line in MODELS."""

from halo_jax.models.base import MakeModel, layer_precisions
from halo_jax.models.resnet8 import ResNet8
from halo_jax.models.small_cnn import SmallCNN
from halo_jax.models.vgg7 import VGG7
from halo_jax.tracing import Skipped, Traced, layer_shapes, trace_layers

MODELS: dict[str, MakeModel] = {
    "vgg7": VGG7,
    "small_cnn": SmallCNN,
    "resnet8": ResNet8,
}

__all__ = [
    "MODELS",
    "VGG7",
    "ResNet8",
    "Skipped",
    "SmallCNN",
    "Traced",
    "layer_precisions",
    "layer_shapes",
    "trace_layers",
]

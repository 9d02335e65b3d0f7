"""The networks behind Table II, written out by hand: every number here is typed, none computed.

2x128C3 - MP2 - 2x256C3 - MP2 - 2x512C3 - MP2 - FC256 - FC(classes); 3x3, stride 1, SAME padding, pools VALID.
"""

from halo_jax.types import LayerShape

CIFAR10 = (
    LayerShape((3, 3), 3, 128, (32, 32)),
    LayerShape((3, 3), 128, 128, (32, 32)),
    LayerShape((3, 3), 128, 256, (16, 16)),
    LayerShape((3, 3), 256, 256, (16, 16)),
    LayerShape((3, 3), 256, 512, (8, 8)),
    LayerShape((3, 3), 512, 512, (8, 8)),
    LayerShape((1, 1), 8192, 256, (1, 1)),
    LayerShape((1, 1), 256, 10, (1, 1)),
)
EMNIST = (
    LayerShape((3, 3), 1, 128, (28, 28)),
    LayerShape((3, 3), 128, 128, (28, 28)),
    LayerShape((3, 3), 128, 256, (14, 14)),
    LayerShape((3, 3), 256, 256, (14, 14)),
    LayerShape((3, 3), 256, 512, (7, 7)),
    LayerShape((3, 3), 512, 512, (7, 7)),
    LayerShape((1, 1), 4608, 256, (1, 1)),
    LayerShape((1, 1), 256, 47, (1, 1)),
)
TINY_IMAGENET = (
    LayerShape((3, 3), 3, 128, (64, 64)),
    LayerShape((3, 3), 128, 128, (64, 64)),
    LayerShape((3, 3), 128, 256, (32, 32)),
    LayerShape((3, 3), 256, 256, (32, 32)),
    LayerShape((3, 3), 256, 512, (16, 16)),
    LayerShape((3, 3), 512, 512, (16, 16)),
    LayerShape((1, 1), 32768, 256, (1, 1)),
    LayerShape((1, 1), 256, 200, (1, 1)),
)
VGG7 = {"cifar10": CIFAR10, "emnist": EMNIST, "tiny_imagenet": TINY_IMAGENET}

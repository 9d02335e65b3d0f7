"""ResNet-8: its layers as typed by hand, and the smallest image."""

import pytest

from halo_jax.models import ResNet8, layer_shapes
from halo_jax.types import LayerShape


def test_the_layers_are_those_of_the_paper_at_an_eighth_of_the_width():
    three, one, two = (3, 3), (1, 1), (2, 2)
    assert layer_shapes(ResNet8(10, width=1 / 8), (32, 32, 3)) == (
        LayerShape(three, 3, 16, (32, 32)),
        *(LayerShape(three, 16, 16, (32, 32)),) * 2,
        LayerShape(three, 16, 32, (16, 16), two),
        LayerShape(three, 32, 32, (16, 16)),
        LayerShape(one, 16, 32, (16, 16), two),  # beside the two
        LayerShape(three, 32, 64, (8, 8), two),
        LayerShape(three, 64, 64, (8, 8)),
        LayerShape(one, 32, 64, (8, 8), two),
        LayerShape(one, 4 * 4 * 64, 10, (1, 1)),
    )


def test_an_image_that_is_too_small_is_named():
    assert layer_shapes(ResNet8(3, width=1 / 32), (5, 5, 1))[-1].c_in == 16
    with pytest.raises(ValueError, match="images are 4x9, need 5x5"):
        layer_shapes(ResNet8(3), (4, 9, 1))

"""The sizes that hardware sees of a layer, and layers that cannot be."""

import itertools

import pytest

from halo_jax.hardware.sizes import Sizes, ceil_div, sizes
from halo_jax.types import LayerShape


@pytest.mark.parametrize(
    ("layer", "right"),
    [
        (LayerShape((1, 1), 8, 10, (1, 1)), Sizes(1, 8, 10, 1, 8, 1)),
        (LayerShape((1, 1), 8, 10, (197, 1), repeats=12), Sizes(1, 8, 10, 197, 197 * 8, 12)),
        (LayerShape((3, 3), 3, 128, (32, 32)), Sizes(1, 27, 128, 1024, 34 * 34 * 3, 1)),
        (LayerShape((3, 5), 6, 4, (7, 8), stride=(2, 1), groups=2), Sizes(2, 45, 2, 56, 15 * 12 * 3, 1)),
        (LayerShape((3, 2), 5, 1, (2, 3), dilation=(4, 3)), Sizes(1, 30, 1, 6, 10 * 6 * 5, 1)),
        (LayerShape((3, 3), 9, 9, (4, 4), groups=9), Sizes(9, 9, 1, 16, 36, 1)),
        (LayerShape((1, 1), 1, 1, (3, 3), stride=(5, 5)), Sizes(1, 1, 1, 9, 121, 1)),
    ],
)
def test_sizes_by_hand(layer, right):
    assert sizes(layer) == right


@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("dilation", [1, 3])
def test_touched_is_the_box_around_what_windows_read(kernel, stride, dilation):
    for out in range(1, 5):
        read = {o * stride + k * dilation for o, k in itertools.product(range(out), range(kernel))}
        layer = LayerShape((kernel, 1), 1, 1, (out, 1), stride=(stride, 1), dilation=(dilation, 1))
        assert sizes(layer).touched == max(read) - min(read) + 1


GOOD = LayerShape((3, 3), 6, 8, (4, 4))


@pytest.mark.parametrize(
    "change",
    [
        *({name: value} for name in ("c_in", "c_out", "groups", "repeats") for value in (0, -1)),
        *({name: value} for name in ("kernel", "out_hw", "stride", "dilation") for value in ((0, 1), (1, -2))),
        {"groups": 4},  # does not divide c_in
        {"groups": 3},  # does not divide c_out
    ],
    ids=str,
)
def test_layers_that_cannot_be_are_refused_in_one_line(change):
    layer = GOOD._replace(**change)
    with pytest.raises(ValueError, match="below 1, or groups that do not divide") as error:
        sizes(layer)
    assert "\n" not in str(error.value)
    assert str(layer) in str(error.value)


def test_ceil_div_of_any_whole_numbers():
    for number, divisor in itertools.product(range(40), range(1, 9)):
        assert ceil_div(number, divisor) == len(range(0, number, divisor))
    assert ceil_div(10**30 + 1, 10**15) == 10**15 + 1

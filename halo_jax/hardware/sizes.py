"""What hardware sees of a layer: the sizes of its weight matrix, and at how many positions it is used."""

from typing import NamedTuple

from halo_jax.types import LayerShape


class Sizes(NamedTuple):
    """One layer as matrices; all sizes but the first and the last are for one group."""

    groups: int
    rows: int  # kh*kw*c_in, of the weight matrix
    c_out: int
    positions: int  # Ho*Wo
    touched: int  # Ph*Pw*c_in: the input's extent, padding included, from the first window to the last
    repeats: int


def sizes(layer: LayerShape) -> Sizes:
    """One layer's sizes. Raises ValueError, one line, for a size below 1 and groups that do not divide channels."""
    kernel, out, groups = layer.kernel, layer.out_hw, layer.groups
    given = (layer.c_in, layer.c_out, groups, layer.repeats, *kernel, *out, *layer.stride, *layer.dilation)
    if min(given) < 1 or layer.c_in % groups or layer.c_out % groups:
        raise ValueError(f"{layer} has a size below 1, or groups that do not divide its channels")
    height, width = ((out[i] - 1) * layer.stride[i] + (kernel[i] - 1) * layer.dilation[i] + 1 for i in (0, 1))
    c_in = layer.c_in // groups
    return Sizes(
        groups=groups,
        rows=kernel[0] * kernel[1] * c_in,
        c_out=layer.c_out // groups,
        positions=out[0] * out[1],
        touched=height * width * c_in,
        repeats=layer.repeats,
    )


def ceil_div(number: int, divisor: int) -> int:
    """`number / divisor`, rounded up."""
    return -(-number // divisor)

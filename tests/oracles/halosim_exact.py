"""HaLoSim counted slowly, in Python integers and fractions, by placing every row and column on a crossbar.

Shares no code and no formula shortcut with halo_jax: extents and ceilings come from enumeration.
"""

from collections.abc import Sequence
from fractions import Fraction

from halo_jax.types import LayerShape

CROSSBAR = 64
CROSSBARS_PER_TILE = 64
READ_FJ_PER_INPUT_BIT = Fraction("29424") / 8
WRITE_FJ = Fraction("13000")
READ_DELAY_PS_PER_BIT = Fraction("18928")
TILE_MM2 = CROSSBARS_PER_TILE * Fraction("0.075375")


def blocks(length: int, size: int = CROSSBAR) -> int:
    """How many blocks of `size` cover `length` things."""
    return len({thing // size for thing in range(length)})


def touched(out: int, stride: int, kernel: int, dilation: int) -> int:
    """Extent from the first to the last input index that a window reads."""
    indices = [o * stride + k * dilation for o in (0, out - 1) for k in (0, kernel - 1)]
    return max(indices) - min(indices) + 1


def layer_counts(layer: LayerShape, bits: tuple[int, int, int]) -> dict[str, int]:
    """All whole numbers of one layer at bits (weights, activations, errors)."""
    bw, ba, be = bits
    c_in, c_out = layer.c_in // layer.groups, layer.c_out // layer.groups
    taps = layer.kernel[0] * layer.kernel[1]
    positions = layer.out_hw[0] * layer.out_hw[1]
    height = touched(layer.out_hw[0], layer.stride[0], layer.kernel[0], layer.dilation[0])
    width = touched(layer.out_hw[1], layer.stride[1], layer.kernel[1], layer.dilation[1])
    weights = sum(blocks(taps * c_in) * blocks(c_out * bw) for _ in range(layer.groups))
    errors = sum(blocks(positions) * blocks(c_out * be) for _ in range(layer.groups))
    runs = layer.repeats
    return {
        "crossbars_weights": weights,
        "crossbars_errors": errors,
        "tiles_weights": blocks(weights, CROSSBARS_PER_TILE),
        "tiles_errors": blocks(errors, CROSSBARS_PER_TILE),
        "reads_forward": runs * weights * positions * ba,
        "reads_backward": runs * weights * positions * be,
        "reads_gradient": runs * errors * height * width * c_in * ba,
        "steps_forward": runs * positions * ba,
        "steps_backward": runs * positions * be,
        "steps_gradient": runs * taps * c_in * layer.c_out * ba,
    }


def evaluate(layers: Sequence[LayerShape], bits: Sequence[tuple[int, int, int]]) -> dict[str, Fraction]:
    """Exact energy_mj, latency_s and area_mm2 with one (bw, ba, be) for each layer."""
    counts = [layer_counts(layer, layer_bits) for layer, layer_bits in zip(layers, bits, strict=True)]
    total = {name: sum(count[name] for count in counts) for name in counts[0]}
    reads = total["reads_forward"] + total["reads_backward"] + total["reads_gradient"]
    steps = total["steps_forward"] + total["steps_backward"] + total["steps_gradient"]
    energy_fj = READ_FJ_PER_INPUT_BIT * reads + WRITE_FJ * total["crossbars_errors"]
    return {
        "energy_mj": energy_fj / 10**12,
        "latency_s": READ_DELAY_PS_PER_BIT * steps / 10**12,
        "area_mm2": TILE_MM2 * (total["tiles_weights"] + total["tiles_errors"]),
    }

"""HaLoSim counted slowly, in Python integers and fractions, by placing every row and column on a crossbar.

Shares no code and no formula shortcut with halo_jax: extents and ceilings come from enumeration. Here is the mapping
of the paper; `halosim_placed` has the physical one.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from halo_jax.types import LayerShape

Bits = tuple[int, int, int]
PJ_IN_MJ, US_IN_S = 10**9, 10**6


def exact(constant: float) -> Fraction:
    """A constant as its decimal digits say, not as the float nearest to it."""
    return Fraction(repr(constant))


@lru_cache(maxsize=4096)
def blocks(length: int, size: int) -> int:
    """How many blocks of `size` cover `length` things."""
    return len({thing // size for thing in range(length)})


def touched(out: int, stride: int, kernel: int, dilation: int) -> int:
    """Extent from the first to the last input index that a window reads."""
    indices = [o * stride + k * dilation for o in (0, out - 1) for k in (0, kernel - 1)]
    return max(indices) - min(indices) + 1


def layer_counts(layer: LayerShape, bits: Bits, chip: Any) -> dict[str, int]:
    """All whole numbers of one layer at bits (weights, activations, errors); a chip gives the size of its parts."""
    bw, ba, be = bits
    size = chip.crossbar_size
    c_in, c_out = layer.c_in // layer.groups, layer.c_out // layer.groups
    taps = layer.kernel[0] * layer.kernel[1]
    positions = layer.out_hw[0] * layer.out_hw[1]
    height = touched(layer.out_hw[0], layer.stride[0], layer.kernel[0], layer.dilation[0])
    width = touched(layer.out_hw[1], layer.stride[1], layer.kernel[1], layer.dilation[1])
    weights = sum(blocks(taps * c_in, size) * blocks(c_out * bw, size) for _ in range(layer.groups))
    errors = sum(blocks(positions, size) * blocks(c_out * be, size) for _ in range(layer.groups))
    runs = layer.repeats
    return {
        "crossbars_weights": weights,
        "crossbars_errors": errors,
        "tiles_weights": blocks(weights, chip.crossbars_per_tile),
        "tiles_errors": blocks(errors, chip.crossbars_per_tile),
        "reads_forward": runs * weights * positions * ba,
        "reads_backward": runs * weights * positions * be,
        "reads_gradient": runs * errors * height * width * c_in * ba,
        "steps_forward": runs * positions * ba,
        "steps_backward": runs * positions * be,
        "steps_gradient": runs * taps * c_in * layer.c_out * ba,
    }


def evaluate(layers: Sequence[LayerShape], bits: Sequence[Bits], chip: Any) -> dict[str, Fraction]:
    """Exact energy_mj, latency_s and area_mm2 with one (bw, ba, be) for each layer."""
    counts = [layer_counts(layer, layer_bits, chip) for layer, layer_bits in zip(layers, bits, strict=True)]
    total = {name: sum(count[name] for count in counts) for name in counts[0]}
    reads = total["reads_forward"] + total["reads_backward"] + total["reads_gradient"]
    steps = total["steps_forward"] + total["steps_backward"] + total["steps_gradient"]
    read_pj = exact(chip.read_energy_pj) / chip.bits_per_read
    energy_pj = read_pj * reads + exact(chip.write_energy_pj) * total["crossbars_errors"]
    tile_mm2 = chip.crossbars_per_tile * exact(chip.crossbar_area_mm2)
    return {
        "energy_mj": energy_pj / PJ_IN_MJ,
        "latency_s": exact(chip.read_delay_us) * steps / US_IN_S,
        "area_mm2": tile_mm2 * (total["tiles_weights"] + total["tiles_errors"]),
    }


def counts(layer: LayerShape, bits: int, chip: Any) -> dict[tuple[str, str, str], int]:
    """Every count with so many bits held and, where bits are fed, one bit fed: by phase, component and metric."""
    one_fed = layer_counts(layer, (bits, 1, bits), chip)
    backward = layer_counts(layer, (bits, 1, 1), chip)  # weights held, errors fed
    found = {
        ("forward", "reads", "energy_mj"): one_fed["reads_forward"],
        ("backward", "reads", "energy_mj"): backward["reads_backward"],
        ("gradient", "reads", "energy_mj"): one_fed["reads_gradient"],
        ("gradient", "error writes", "energy_mj"): one_fed["crossbars_errors"],
        ("update", "weight writes", "energy_mj"): one_fed["crossbars_weights"],
        ("forward", "reads", "latency_s"): one_fed["steps_forward"],
        ("backward", "reads", "latency_s"): backward["steps_backward"],
        ("gradient", "reads", "latency_s"): one_fed["steps_gradient"],
    }
    taps, positions = layer.kernel[0] * layer.kernel[1], layer.out_hw[0] * layer.out_hw[1]
    numbers = {"weights": taps * layer.c_in * layer.c_out // layer.groups, "errors": positions * layer.c_out}
    for key, held in {("forward+backward", "weight tiles"): "weights", ("gradient", "error tiles"): "errors"}.items():
        tiles = one_fed[f"tiles_{held}"]
        cells = tiles * chip.crossbars_per_tile * chip.crossbar_size * chip.crossbar_size
        found |= {(*key, "area_mm2"): tiles, (*key, "tiles"): tiles, (*key, "cells"): cells}
        found |= {(*key, "crossbars"): one_fed[f"crossbars_{held}"], (*key, "used cells"): numbers[held] * bits}
    return found

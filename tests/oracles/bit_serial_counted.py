"""Bit-serial MACs counted slowly: pass by pass, tile by tile, in Python integers and fractions.

Shares no code with halo_jax; written from the text of `bit_serial`.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from halo_jax.types import LayerShape
from tests.oracles.halosim_exact import Bits, exact, touched


@lru_cache(maxsize=4096)
def tiles(length: int, size: int) -> tuple[int, ...]:
    """The sizes of the tiles that cover `length` things."""
    return tuple(min(size, length - start) for start in range(0, length, size))


def sides(layer: LayerShape) -> tuple[int, int, int]:
    """Rows of a group's weights, its output channels, and the positions that it is used at."""
    taps = layer.kernel[0] * layer.kernel[1]
    return taps * layer.c_in // layer.groups, layer.c_out // layer.groups, layer.out_hw[0] * layer.out_hw[1]


def one_pass(over: int, windows: int, filters: int, chip: Any) -> tuple[int, int, int, int]:
    """Products, numbers read of what waits and of what streams, and turns of the lanes, of one product of matrices."""
    products = waiting = streaming = turns = 0
    over_tiles = tiles(over, chip.lanes)
    for some_windows in tiles(windows, chip.windows):
        waiting += over * filters
        for some_filters in tiles(filters, chip.filters):
            products += some_windows * some_filters * over
            turns += len(over_tiles)
    for _ in tiles(filters, chip.filters):
        streaming += windows * over
    return products, waiting, streaming, turns


def passes(layer: LayerShape, chip: Any) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    rows, c_out, positions = sides(layer)
    runs = layer.groups * layer.repeats
    for phase, over, windows, filters in (
        ("forward", rows, positions, c_out),
        ("backward", c_out, positions, rows),
        ("gradient", positions, rows, c_out),
    ):
        products, waiting, streaming, turns = one_pass(over, windows, filters, chip)
        yield phase, (runs * products, runs * waiting, runs * streaming, runs * turns)


def memory(layer: LayerShape) -> tuple[int, int, int]:
    """Numbers kept: weights, errors and activations."""
    rows, c_out, positions = sides(layer)
    height, width = (touched(layer.out_hw[i], layer.stride[i], layer.kernel[i], layer.dilation[i]) for i in (0, 1))
    runs = layer.repeats
    return rows * c_out * layer.groups, runs * positions * layer.c_out, runs * height * width * layer.c_in


def counts(layer: LayerShape, bits: int, chip: Any) -> dict[tuple[str, str, str], int]:
    """Every count with so many bits held and, where bits are fed, one bit fed: by phase, component and metric."""
    found = {}
    for phase, (products, waiting, streaming, turns) in passes(layer, chip):
        found[phase, "additions", "energy_mj"] = products * bits
        found[phase, "reads of what waits", "energy_mj"] = waiting * bits
        found[phase, "reads of what streams", "energy_mj"] = streaming
        found[phase, "cycles", "latency_s"] = turns
    weights, errors, activations = memory(layer)
    found["gradient", "error writes", "energy_mj"] = errors * bits
    found["forward+backward", "weight memory", "area_mm2"] = weights * bits
    found["gradient", "error memory", "area_mm2"] = errors * bits
    found["gradient", "activation memory", "area_mm2"] = activations
    return found


def evaluate(layers: Sequence[LayerShape], bits: Sequence[Bits], chip: Any) -> dict[str, Fraction]:
    """Exact energy_mj, latency_s and area_mm2 with one (bw, ba, be) for each layer."""
    additions = accesses = cycles = kept = 0
    for layer, (bw, ba, be) in zip(layers, bits, strict=True):
        operands = {"forward": (bw, ba), "backward": (bw, be), "gradient": (be, ba)}  # what waits, what streams
        for phase, (products, waiting, streaming, turns) in passes(layer, chip):
            waits, streams = operands[phase]
            additions += products * waits * streams
            accesses += waiting * waits + streaming * streams
            cycles += turns * streams
        weights, errors, activations = memory(layer)
        accesses += errors * be
        kept += weights * bw + errors * be + activations * ba
    energy_pj = exact(chip.bit_addition_energy_pj) * additions + exact(chip.bit_access_energy_pj) * accesses
    return {
        "energy_mj": energy_pj / 10**9,
        "latency_s": cycles / exact(chip.clock_mhz) / 10**6,
        "area_mm2": exact(chip.bit_area_um2) * kept / 10**6,
    }

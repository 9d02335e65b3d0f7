"""The physical mapping of HaLoSim, slowly: matrices are laid on crossbars row by row and column by column.

Shares no code with halo_jax; written from the text of `crossbars`, in Python integers and fractions.
"""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from halo_jax.types import LayerShape
from tests.oracles.halosim_exact import PJ_IN_MJ, US_IN_S, Bits, exact


@lru_cache(maxsize=4096)
def dealt(things: int, size: int) -> dict[int, int]:
    """How many of so many things lie in each block of `size`."""
    return Counter(thing // size for thing in range(things))


@lru_cache(maxsize=4096)
def turns(things: int, takers: int) -> int:
    """Turns until so many things, dealt to takers one by one, are all taken."""
    return max(Counter(thing % takers for thing in range(things)).values())


class Store(NamedTuple):
    """One matrix of each group on crossbars of its own, or several copies of them all."""

    crossbars: int  # of one copy
    copies: int
    tiles: int  # of all copies
    used_cells: int
    row_writes: int  # rows of crossbars that are written, all copies
    rows: int  # of the fullest crossbar
    columns: int


def store(rows: int, columns: int, groups: int, chip: Any, most_copies: int = 1) -> Store:
    """Lay `groups` matrices of 1-bit cells; then copies of them all, while the last tile has room."""
    row_blocks, column_blocks = dealt(rows, chip.crossbar_size), dealt(columns, chip.crossbar_size)
    crossbars = groups * len(row_blocks) * len(column_blocks)
    tiles = len(dealt(crossbars, chip.crossbars_per_tile))
    copies = 1
    while copies < most_copies and (copies + 1) * crossbars <= tiles * chip.crossbars_per_tile:
        copies += 1
    return Store(
        crossbars=crossbars,
        copies=copies,
        tiles=tiles,
        used_cells=copies * groups * rows * columns,
        row_writes=copies * groups * sum(row_blocks.values()) * len(column_blocks),
        rows=max(row_blocks.values()),
        columns=max(column_blocks.values()),
    )


class Sides(NamedTuple):
    """A layer's matrices, by their sides."""

    groups: int
    taps_in: int  # kh*kw*c_in of a group
    c_out: int  # of a group
    positions: int


def sides(layer: LayerShape) -> Sides:
    taps = len([(i, j) for i in range(layer.kernel[0]) for j in range(layer.kernel[1])])
    positions = layer.out_hw[0] * layer.out_hw[1]
    return Sides(layer.groups, taps * (layer.c_in // layer.groups), layer.c_out // layer.groups, positions)


def weights_of(layer: LayerShape, bits: int, chip: Any) -> Store:
    s = sides(layer)
    return store(s.taps_in, s.c_out * bits, s.groups, chip, s.positions if chip.replicate else 1)


def errors_of(layer: LayerShape, bits: int, chip: Any) -> Store:
    s = sides(layer)
    return store(s.positions, s.c_out * bits, s.groups, chip)


def counts(layer: LayerShape, bits: int, chip: Any) -> dict[tuple[str, str, str], int]:
    """Every count with so many bits held and, where bits are fed, one bit fed: by phase, component and metric."""
    s, runs, adcs = sides(layer), layer.repeats, chip.adcs_per_crossbar
    weights, errors = weights_of(layer, bits, chip), errors_of(layer, bits, chip)
    reads_at = turns(s.positions, weights.copies)  # positions, one after the other on each copy
    transposed = max(dealt(s.taps_in, chip.crossbar_size).values())  # the columns of the backward pass
    found = {
        ("forward", "reads", "energy_mj"): runs * weights.crossbars * s.positions,
        ("backward", "reads", "energy_mj"): runs * weights.crossbars * s.positions,
        ("gradient", "reads", "energy_mj"): runs * errors.crossbars * s.taps_in,
        ("gradient", "error writes", "energy_mj"): runs * errors.row_writes,
        ("update", "weight writes", "energy_mj"): weights.row_writes,
        ("forward", "reads", "latency_s"): runs * reads_at * turns(weights.columns, adcs),
        ("backward", "reads", "latency_s"): runs * reads_at * turns(transposed, adcs),
        ("gradient", "reads", "latency_s"): runs * s.taps_in * turns(errors.columns, adcs),
        ("gradient", "error writes", "latency_s"): runs * errors.rows,
        ("update", "weight writes", "latency_s"): weights.rows,
    }
    for key, kept in {("forward+backward", "weight tiles"): weights, ("gradient", "error tiles"): errors}.items():
        cells = kept.tiles * chip.crossbars_per_tile * chip.crossbar_size * chip.crossbar_size
        found |= {(*key, "area_mm2"): kept.tiles, (*key, "tiles"): kept.tiles, (*key, "cells"): cells}
        found |= {(*key, "crossbars"): kept.copies * kept.crossbars, (*key, "used cells"): kept.used_cells}
    return found


def evaluate(layers: Sequence[LayerShape], bits: Sequence[Bits], chip: Any) -> dict[str, Fraction]:
    """Exact energy_mj, latency_s and area_mm2 with one (bw, ba, be) for each layer."""
    parts = [_costs(layer, layer_bits, chip) for layer, layer_bits in zip(layers, bits, strict=True)]
    slowest = max(max(weights_s, errors_s) for _, weights_s, errors_s, _ in parts)
    in_turn = sum(weights_s + errors_s for _, weights_s, errors_s, _ in parts)
    return {
        "energy_mj": sum(part[0] for part in parts),
        "latency_s": slowest if chip.pipelined else in_turn,
        "area_mm2": sum(part[3] for part in parts),
    }


def _costs(layer: LayerShape, bits: Bits, chip: Any) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Energy, the time in which the weights' crossbars are busy, that of the errors', and area, of one layer."""
    bw, ba, be = bits
    w, e = counts(layer, bw, chip), counts(layer, be, chip)
    bit_read_pj = exact(chip.read_energy_pj) / chip.bits_per_read
    row_write_pj = exact(chip.write_energy_pj) / chip.crossbar_size
    read_us, write_us, batch = exact(chip.read_delay_us), exact(chip.write_delay_us), chip.samples_per_update

    def of(metric: str, per_read: Fraction, per_write: Fraction) -> tuple[Fraction, Fraction]:
        reads = w["forward", "reads", metric] * ba + w["backward", "reads", metric] * be
        on_weights = per_read * reads + per_write * w["update", "weight writes", metric] / batch
        on_errors = per_read * e["gradient", "reads", metric] * ba + per_write * e["gradient", "error writes", metric]
        return on_weights, on_errors

    energy_pj = sum(of("energy_mj", bit_read_pj, row_write_pj))
    weights_us, errors_us = of("latency_s", read_us, write_us)
    tiles = w["forward+backward", "weight tiles", "tiles"] + e["gradient", "error tiles", "tiles"]
    area_mm2 = tiles * chip.crossbars_per_tile * exact(chip.crossbar_area_mm2)
    return energy_pj / PJ_IN_MJ, weights_us / US_IN_S, errors_us / US_IN_S, area_mm2

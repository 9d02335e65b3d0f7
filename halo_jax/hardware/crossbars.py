"""How layers lie on crossbars, and what reading and writing them takes: the items of HaLoSim's bill.

A layer has G groups of c_in inputs and c_out outputs; kernel kh x kw, output Ho x Wo before pooling, and it touches
Ph = (Ho-1)*stride + (kh-1)*dilation + 1 rows of its input, Pw columns likewise. It takes, of S x S crossbars (S = 64)

    crossbars_w = G * ceil(kh*kw*c_in / S) * ceil(c_out*bw / S)      rows, and a column for each bit
    crossbars_e = G * ceil(Ho*Wo / S)      * ceil(c_out*be / S)
    tiles       = ceil(crossbars / 64), each

`paper`, as Table II has it; bit_reads are reads of one crossbar with one bit of input, steps delays one by one:

    bit_reads = crossbars_w * Ho*Wo * ba,  crossbars_w * Ho*Wo * be,  crossbars_e * Ph*Pw*c_in * ba
    steps     = Ho*Wo * ba,                Ho*Wo * be,                kh*kw*c_in * G*c_out * ba
    writes    = crossbars_e; writing the weights is shown, but not in the total

for the forward pass (Eq. 2), the backward pass (Eq. 3) and the weight gradient (Eq. 4). `physical` differs: the
weight gradient has kh*kw*c_in windows to read, and its columns are read at the same time; an ADC converts one column
a step, so 64 columns on 8 ADCs are 8 steps; crossbars are written row by row, all at once, the weights once for
`samples_per_update` samples; with `replicate` a layer's weights lie in the spare crossbars of its tiles, too (Fig.
3b), r = floor(64 * tiles_w / crossbars_w) times in all, but not more often than there are positions, and r positions
are read at once. With conv(n) = ceil(min(n, S) / 8), the steps of n columns, or of n rows read backward,

    bit_reads = crossbars_w * Ho*Wo * ba,            crossbars_w * Ho*Wo * be,       crossbars_e * kh*kw*c_in * ba
    steps     = ceil(Ho*Wo/r) * conv(c_out*bw) * ba, ceil(Ho*Wo/r) * conv(kh*kw*c_in) * be,
                kh*kw*c_in * conv(c_out*be) * ba
    row writes = G * Ho*Wo * ceil(c_out*be / S) of errors, r * G * kh*kw*c_in * ceil(c_out*bw / S) of weights
    row delays = min(Ho*Wo, S), min(kh*kw*c_in, S)

A layer that repeats is read as often, and in `physical` its errors are written as often; its crossbars are there once.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from halo_jax.hardware.bill import ACTIVATIONS, ERRORS, WEIGHTS, Count, Item, Line, Part, itemise
from halo_jax.hardware.sizes import Sizes, ceil_div
from halo_jax.types import LayerShape


class Grid(NamedTuple):
    """The static side of a chip: its mapping, its crossbars and tiles, and what is done with spare crossbars."""

    mapping: str
    size: int  # rows, and columns
    per_tile: int
    adcs: int
    replicate: bool


@lru_cache(maxsize=64)
def items(layers: tuple[LayerShape, ...], grid: Grid) -> tuple[Item, ...]:
    """The items of a network; the prices are only named. ValueError, one line, for a layer that cannot be."""
    return itemise(layers, [*_stores(grid), *_MAPPINGS[grid.mapping](grid)])


def _weights(layer: Sizes, bits: int, grid: Grid) -> int:
    """Crossbars of one copy of the weights."""
    return layer.groups * ceil_div(layer.rows, grid.size) * ceil_div(layer.c_out * bits, grid.size)


def _errors(layer: Sizes, bits: int, grid: Grid) -> int:
    return layer.groups * ceil_div(layer.positions, grid.size) * ceil_div(layer.c_out * bits, grid.size)


def _copies(layer: Sizes, bits: int, grid: Grid) -> int:
    """How often the weights lie in their tiles; no more copies than there are positions to read."""
    one = max(_weights(layer, bits, grid), 1)
    return min(ceil_div(one, grid.per_tile) * grid.per_tile // one, layer.positions) if grid.replicate else 1


def _stores(grid: Grid) -> Iterator[Line]:
    """What is held, and where: area, tiles, crossbars, cells, and the cells that hold a bit."""
    weights: Count = lambda s, b: _copies(s, b, grid) * _weights(s, b, grid)  # noqa: E731
    errors: Count = lambda s, b: _errors(s, b, grid)  # noqa: E731
    weight_bits: Count = lambda s, b: _copies(s, b, grid) * s.groups * s.rows * s.c_out * b  # noqa: E731
    error_bits: Count = lambda s, b: s.groups * s.positions * s.c_out * b  # noqa: E731
    for phase, component, held, crossbars, used in (
        ("forward+backward", "weight tiles", WEIGHTS, weights, weight_bits),
        ("gradient", "error tiles", ERRORS, errors, error_bits),
    ):
        tiles: Count = lambda s, b, crossbars=crossbars: ceil_div(crossbars(s, b), grid.per_tile)  # noqa: E731
        cells: Count = lambda s, b, tiles=tiles: tiles(s, b) * grid.per_tile * grid.size**2  # noqa: E731
        yield Part(phase, component, "area_mm2"), "tile", tiles, held, None
        counted = {"tiles": tiles, "crossbars": crossbars, "cells": cells, "used cells": used}
        for metric, count in counted.items():
            yield Part(phase, component, metric, False), "one", count, held, None


def _reads(grid: Grid, windows: Count) -> Iterator[Line]:
    """Reads of a crossbar with one bit of input; `windows` inputs are read for the weight gradient."""
    by_position: Count = lambda s, b: s.repeats * _weights(s, b, grid) * s.positions  # noqa: E731
    by_window: Count = lambda s, b: s.repeats * _errors(s, b, grid) * windows(s, b)  # noqa: E731
    yield Part("forward", "reads", "energy_mj"), "bit read", by_position, WEIGHTS, ACTIVATIONS
    yield Part("backward", "reads", "energy_mj"), "bit read", by_position, WEIGHTS, ERRORS
    yield Part("gradient", "reads", "energy_mj"), "bit read", by_window, ERRORS, ACTIVATIONS


def _paper(grid: Grid) -> Iterator[Line]:
    # Choice: the first layer's backward pass is priced as well, and writing the weights is not in the total: Table II
    # can tell neither.
    yield from _reads(grid, lambda s, b: s.touched)
    yield Part("gradient", "error writes", "energy_mj"), "write", lambda s, b: _errors(s, b, grid), ERRORS, None
    weights: Count = lambda s, b: _weights(s, b, grid)  # noqa: E731
    yield Part("update", "weight writes", "energy_mj", False), "write", weights, WEIGHTS, None
    positions: Count = lambda s, b: s.repeats * s.positions  # noqa: E731
    products: Count = lambda s, b: s.repeats * s.rows * s.groups * s.c_out  # noqa: E731
    yield Part("forward", "reads", "latency_s"), "step", positions, WEIGHTS, ACTIVATIONS
    yield Part("backward", "reads", "latency_s"), "step", positions, WEIGHTS, ERRORS
    yield Part("gradient", "reads", "latency_s"), "step", products, ERRORS, ACTIVATIONS


def _physical(grid: Grid) -> Iterator[Line]:
    def conversions(columns: int) -> int:
        """Steps in which the ADCs of the fullest crossbar convert its columns."""
        return ceil_div(min(columns, grid.size), grid.adcs)

    def reads(columns: Count) -> Count:
        return lambda s, b: s.repeats * ceil_div(s.positions, _copies(s, b, grid)) * conversions(columns(s, b))

    yield from _reads(grid, lambda s, b: s.rows)
    yield Part("forward", "reads", "latency_s"), "step", reads(lambda s, b: s.c_out * b), WEIGHTS, ACTIVATIONS
    yield Part("backward", "reads", "latency_s"), "step", reads(lambda s, b: s.rows), WEIGHTS, ERRORS
    gradient: Count = lambda s, b: s.repeats * s.rows * conversions(s.c_out * b)  # noqa: E731
    yield Part("gradient", "reads", "latency_s"), "step", gradient, ERRORS, ACTIVATIONS

    def rows_of(rows: int, layer: Sizes, bits: int) -> int:
        """Rows of crossbars, all that hold a matrix of so many rows."""
        return layer.groups * rows * ceil_div(layer.c_out * bits, grid.size)

    errors: Count = lambda s, b: s.repeats * rows_of(s.positions, s, b)  # noqa: E731
    weights: Count = lambda s, b: _copies(s, b, grid) * rows_of(s.rows, s, b)  # noqa: E731
    yield Part("gradient", "error writes", "energy_mj"), "row write", errors, ERRORS, None
    yield Part("update", "weight writes", "energy_mj"), "row update", weights, WEIGHTS, None
    error_rows: Count = lambda s, b: s.repeats * min(s.positions, grid.size)  # noqa: E731
    weight_rows: Count = lambda s, b: min(s.rows, grid.size)  # noqa: E731
    yield Part("gradient", "error writes", "latency_s"), "row delay", error_rows, ERRORS, None
    yield Part("update", "weight writes", "latency_s"), "row update delay", weight_rows, WEIGHTS, None


_MAPPINGS = {"paper": _paper, "physical": _physical}
MAPPINGS = tuple(_MAPPINGS)

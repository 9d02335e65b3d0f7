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

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from halo_jax.hardware.bill import ACTIVATIONS, ERRORS, WEIGHTS, Count, Item, Line, Part, itemise
from halo_jax.hardware.sizes import Sizes, ceil_div
from halo_jax.types import LayerShape


class Layout(NamedTuple):
    """The static side of a chip: its mapping, its crossbars and tiles, and what is done with spare crossbars.

    Its methods count what a layer of `Sizes` takes at so many `bits` of what lies there; all sizes are of a layer.
    """

    mapping: str  # a key of MAPPINGS
    crossbar_size: int  # S: rows, and columns
    crossbars_per_tile: int
    adcs_per_crossbar: int
    replicate: bool

    def weight_crossbars(self, layer: Sizes, bits: int) -> int:
        """crossbars_w = G * ceil(kh*kw*c_in / S) * ceil(c_out*bw / S): those of one copy of the weights."""
        return layer.groups * self._blocks(layer.rows) * self._blocks(layer.c_out * bits)

    def error_crossbars(self, layer: Sizes, bits: int) -> int:
        """crossbars_e = G * ceil(Ho*Wo / S) * ceil(c_out*be / S)."""
        return layer.groups * self._blocks(layer.positions) * self._blocks(layer.c_out * bits)

    def copies(self, layer: Sizes, bits: int) -> int:
        """r = floor(64 * tiles_w / crossbars_w), at most Ho*Wo: how often the weights lie in their tiles."""
        if not self.replicate:
            return 1
        crossbars = max(self.weight_crossbars(layer, bits), 1)
        room = ceil_div(crossbars, self.crossbars_per_tile) * self.crossbars_per_tile
        return min(room // crossbars, layer.positions)

    def copied_weight_crossbars(self, layer: Sizes, bits: int) -> int:
        """r * crossbars_w: those of all copies."""
        return self.copies(layer, bits) * self.weight_crossbars(layer, bits)

    def weight_cells(self, layer: Sizes, bits: int) -> int:
        """r * G * kh*kw*c_in * c_out*bw: cells that hold a bit of a weight."""
        return self.copies(layer, bits) * layer.groups * layer.rows * layer.c_out * bits

    def error_cells(self, layer: Sizes, bits: int) -> int:
        """G * Ho*Wo * c_out*be: cells that hold a bit of an error."""
        return layer.groups * layer.positions * layer.c_out * bits

    def conversions(self, columns: int) -> int:
        """conv(n) = ceil(min(n, S) / ADCs): the steps in which n columns of a crossbar are converted."""
        return ceil_div(min(columns, self.crossbar_size), self.adcs_per_crossbar)

    def crossbar_rows(self, layer: Sizes, bits: int, rows: int) -> int:
        """G * rows * ceil(c_out*b / S): rows of crossbars that hold a matrix of so many rows."""
        return layer.groups * rows * self._blocks(layer.c_out * bits)

    def _blocks(self, cells: int) -> int:
        """ceil(n / S): the crossbars side by side that so many rows or columns take."""
        return ceil_div(cells, self.crossbar_size)


@lru_cache(maxsize=64)
def items(layers: tuple[LayerShape, ...], layout: Layout) -> tuple[Item, ...]:
    """The items of a network; the prices are only named. ValueError, one line, for a layer that cannot be."""
    weights = _store(
        layout, WEIGHTS, "forward+backward", "weight tiles", layout.copied_weight_crossbars, layout.weight_cells
    )
    errors = _store(layout, ERRORS, "gradient", "error tiles", layout.error_crossbars, layout.error_cells)
    return itemise(layers, [*weights, *errors, *_MAPPINGS[layout.mapping](layout)])


def _store(
    layout: Layout, stored: int, phase: str, component: str, crossbars: Count, used_cells: Count
) -> Iterator[Line]:
    """What holds an operand: its area, and, beside the total, its tiles, crossbars, cells, and cells with a bit."""

    def tiles(layer: Sizes, bits: int) -> int:
        """tiles = ceil(crossbars / 64)."""
        return ceil_div(crossbars(layer, bits), layout.crossbars_per_tile)

    def cells(layer: Sizes, bits: int) -> int:
        """All of these tiles, tiles * 64 * S * S."""
        return tiles(layer, bits) * layout.crossbars_per_tile * layout.crossbar_size**2

    yield Line(Part(phase, component, "area_mm2"), "tile", tiles, stored)
    for metric, count in (("tiles", tiles), ("crossbars", crossbars), ("cells", cells), ("used cells", used_cells)):
        yield Line(Part(phase, component, metric, in_total=False), "one", count, stored)


def _reads(layout: Layout, gradient_inputs: Callable[[Sizes], int]) -> Iterator[Line]:
    """bit_reads, of one crossbar with one bit of input: both mappings, but for the inputs that Eq. 4 reads."""

    def weight_reads(layer: Sizes, bits: int) -> int:
        """crossbars_w * Ho*Wo, once for each bit of activations (Eq. 2) or errors (Eq. 3); copies share positions."""
        return layer.repeats * layout.weight_crossbars(layer, bits) * layer.positions

    def error_reads(layer: Sizes, bits: int) -> int:
        """crossbars_e * inputs, once for each bit of activations (Eq. 4)."""
        return layer.repeats * layout.error_crossbars(layer, bits) * gradient_inputs(layer)

    yield Line(Part("forward", "reads", "energy_mj"), "bit read", weight_reads, WEIGHTS, ACTIVATIONS)
    yield Line(Part("backward", "reads", "energy_mj"), "bit read", weight_reads, WEIGHTS, ERRORS)
    yield Line(Part("gradient", "reads", "energy_mj"), "bit read", error_reads, ERRORS, ACTIVATIONS)


def _touched_inputs(layer: Sizes) -> int:
    """Ph*Pw*c_in."""
    return layer.touched


def _windows(layer: Sizes) -> int:
    """kh*kw*c_in."""
    return layer.rows


def _paper(layout: Layout) -> Iterator[Line]:
    """Table II's mapping; of its latency, steps are delays one by one."""

    def position_steps(layer: Sizes, bits: int) -> int:
        """Ho*Wo, whatever the bits of the weights."""
        return layer.repeats * layer.positions

    def product_steps(layer: Sizes, bits: int) -> int:
        """kh*kw*c_in * G*c_out, whatever the bits of the errors."""
        return layer.repeats * layer.rows * layer.groups * layer.c_out

    # Choice: the first layer's backward pass is priced as well, and writing the weights is not in the total: Table II
    # can tell neither.
    yield from _reads(layout, _touched_inputs)
    yield Line(Part("gradient", "error writes", "energy_mj"), "write", layout.error_crossbars, ERRORS)
    yield Line(Part("update", "weight writes", "energy_mj", in_total=False), "write", layout.weight_crossbars, WEIGHTS)
    yield Line(Part("forward", "reads", "latency_s"), "step", position_steps, WEIGHTS, ACTIVATIONS)
    yield Line(Part("backward", "reads", "latency_s"), "step", position_steps, WEIGHTS, ERRORS)
    yield Line(Part("gradient", "reads", "latency_s"), "step", product_steps, ERRORS, ACTIVATIONS)


def _physical(layout: Layout) -> Iterator[Line]:
    """The mapping that counts ADCs, rows that are written, and copies of the weights."""
    yield from _reads(layout, _windows)
    yield from _physical_steps(layout)
    yield from _physical_writes(layout)


def _physical_steps(layout: Layout) -> Iterator[Line]:
    """steps, of one bit of input and of one column an ADC."""

    def turns(layer: Sizes, bits: int) -> int:
        """ceil(Ho*Wo / r): r copies of the weights are read at once."""
        return layer.repeats * ceil_div(layer.positions, layout.copies(layer, bits))

    def forward(layer: Sizes, bits: int) -> int:
        """ceil(Ho*Wo / r) * conv(c_out*bw)."""
        return turns(layer, bits) * layout.conversions(layer.c_out * bits)

    def backward(layer: Sizes, bits: int) -> int:
        """ceil(Ho*Wo / r) * conv(kh*kw*c_in): the transposed crossbar, whose columns are its rows."""
        return turns(layer, bits) * layout.conversions(layer.rows)

    def gradient(layer: Sizes, bits: int) -> int:
        """kh*kw*c_in * conv(c_out*be)."""
        return layer.repeats * layer.rows * layout.conversions(layer.c_out * bits)

    yield Line(Part("forward", "reads", "latency_s"), "step", forward, WEIGHTS, ACTIVATIONS)
    yield Line(Part("backward", "reads", "latency_s"), "step", backward, WEIGHTS, ERRORS)
    yield Line(Part("gradient", "reads", "latency_s"), "step", gradient, ERRORS, ACTIVATIONS)


def _physical_writes(layout: Layout) -> Iterator[Line]:
    """Rows that are written, all crossbars at once: errors for each sample, weights once an update."""

    def error_rows(layer: Sizes, bits: int) -> int:
        """G * Ho*Wo * ceil(c_out*be / S)."""
        return layer.repeats * layout.crossbar_rows(layer, bits, layer.positions)

    def weight_rows(layer: Sizes, bits: int) -> int:
        """r * G * kh*kw*c_in * ceil(c_out*bw / S)."""
        return layout.copies(layer, bits) * layout.crossbar_rows(layer, bits, layer.rows)

    def error_delays(layer: Sizes, bits: int) -> int:
        """min(Ho*Wo, S): the rows of the fullest crossbar."""
        return layer.repeats * min(layer.positions, layout.crossbar_size)

    def weight_delays(layer: Sizes, bits: int) -> int:
        """min(kh*kw*c_in, S)."""
        return min(layer.rows, layout.crossbar_size)

    yield Line(Part("gradient", "error writes", "energy_mj"), "row write", error_rows, ERRORS)
    yield Line(Part("update", "weight writes", "energy_mj"), "row update", weight_rows, WEIGHTS)
    yield Line(Part("gradient", "error writes", "latency_s"), "row delay", error_delays, ERRORS)
    yield Line(Part("update", "weight writes", "latency_s"), "row update delay", weight_delays, WEIGHTS)


_MAPPINGS = {"paper": _paper, "physical": _physical}
MAPPINGS = tuple(_MAPPINGS)

"""Digital bit-serial MACs in the manner of Stripes: a platform without crossbars, of which selectors know as little.

One operand of a product waits in full width, the other streams in bit by bit: a product of a and b bits is b additions
of a bits, in b cycles. The array sums over `lanes` products, for `windows` x `filters` sums at once. With G groups of
weights [rows, c_out] used at P = Ho*Wo positions,

    pass      waits  streams  sums          each over  cycles = G * streamed bits *
    forward   W      A        P x c_out     rows       ceil(rows/lanes)  * ceil(P/windows)    * ceil(c_out/filters)
    backward  W      E        P x rows      c_out      ceil(c_out/lanes) * ceil(P/windows)    * ceil(rows/filters)
    gradient  E      A        rows x c_out  P          ceil(P/lanes)     * ceil(rows/windows) * ceil(c_out/filters)

Energy is that of bit additions, G * P * rows * c_out * waiting bits * streamed bits in each pass, and of bits read from
memory: what waits once for each tile of windows, what streams once for each tile of filters; errors are written once.
Area is the memory of weights, activations and errors, the latter two for every time that a layer repeats: the array is
the same at any precision, and left out, as is what writes activations and new weights.

Source: Judd et al., Stripes, MICRO 2016, for the array; Horowitz, ISSCC 2014, for energies.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from flax import struct

from halo_jax.hardware.base import Chip
from halo_jax.hardware.bill import ACTIVATIONS, ERRORS, WEIGHTS, Bill, Item, Layers, Line, Part, itemise
from halo_jax.hardware.device_file import device_named
from halo_jax.hardware.sizes import Sizes, ceil_div
from halo_jax.types import LayerShape

MJ_PER_PJ, MM2_PER_UM2, HZ_PER_MHZ = 1e-9, 1e-6, 1e6


@struct.dataclass
class Constants:
    """One array and its memory. Sizes are static, all else may be traced; sources stand in the preset's YAML file."""

    lanes: int = struct.field(pytree_node=False)  # products that one sum takes a cycle
    windows: int = struct.field(pytree_node=False)  # sums side by side that share what waits
    filters: int = struct.field(pytree_node=False)  # sums side by side that share what streams
    clock_mhz: float
    bit_addition_energy_pj: float  # of one bit of an adder
    bit_access_energy_pj: float  # of one bit read from or written to memory
    bit_area_um2: float  # of one bit of memory


_PRESETS = {"stripes_45nm": Path(__file__).with_name("bit_serial_stripes_45nm.yaml")}


def make(device: str) -> Chip:
    """One chip: `stripes_45nm`, or the path of a YAML file with all fields of `Constants`."""
    constants = device_named(device, "bit_serial", _PRESETS, Constants)
    return Chip(constants, partial(bill, constants=constants))


def bill(layers: Layers, constants: Constants) -> Bill:
    """What training on one sample makes the array and its memory do, and the prices."""
    c = constants
    prices = {
        "bit addition": c.bit_addition_energy_pj * MJ_PER_PJ,
        "bit access": c.bit_access_energy_pj * MJ_PER_PJ,
        "cycle": 1 / (c.clock_mhz * HZ_PER_MHZ),
        "bit": c.bit_area_um2 * MM2_PER_UM2,
    }
    return Bill(_items(tuple(layers), _Array(c.lanes, c.windows, c.filters)), prices)


class _Array(NamedTuple):
    """How many products an array takes a cycle, in each direction."""

    lanes: int
    windows: int
    filters: int


class _Product(NamedTuple):
    """The product of a pass: what streams, [windows, over], by what waits, [over, filters]; `runs` of them."""

    runs: int  # groups, each time that the layer repeats
    over: int
    windows: int
    filters: int


class _Pass(NamedTuple):
    """A pass of training: which operand waits, which streams, and the sides of its product by their names in Sizes."""

    phase: str
    waits: int
    streams: int
    over: str
    windows: str
    filters: str

    def product(self, layer: Sizes) -> _Product:
        """The pass's product for a layer."""
        over, windows, filters = (getattr(layer, side) for side in (self.over, self.windows, self.filters))
        return _Product(layer.repeats * layer.groups, over, windows, filters)


_PASSES = (
    _Pass("forward", waits=WEIGHTS, streams=ACTIVATIONS, over="rows", windows="positions", filters="c_out"),
    _Pass("backward", waits=WEIGHTS, streams=ERRORS, over="c_out", windows="positions", filters="rows"),
    _Pass("gradient", waits=ERRORS, streams=ACTIVATIONS, over="positions", windows="rows", filters="c_out"),
)


@lru_cache(maxsize=64)
def _items(layers: tuple[LayerShape, ...], array: _Array) -> tuple[Item, ...]:
    passes = (line for each_pass in _PASSES for line in _pass_lines(array, each_pass))
    return itemise(layers, [*passes, *_memory_lines()])


def _pass_lines(array: _Array, each_pass: _Pass) -> Iterator[Line]:
    """Additions, reads and cycles of one pass; what streams takes the count once for each of its bits."""
    product_of, (phase, waits, streams, *_) = each_pass.product, each_pass

    def additions(layer: Sizes, bits: int) -> int:
        """Bits that are added for one bit that streams: over * windows * filters * waiting bits."""
        runs, over, windows, filters = product_of(layer)
        return runs * over * windows * filters * bits

    def waiting_reads(layer: Sizes, bits: int) -> int:
        """Bits that are read to wait, once for each tile of windows: over * filters * ceil(windows/array)."""
        runs, over, windows, filters = product_of(layer)
        return runs * over * filters * ceil_div(windows, array.windows) * bits

    def streaming_reads(layer: Sizes, bits: int) -> int:
        """Numbers that are read to stream, once for each tile of filters: windows * over * ceil(filters/array)."""
        runs, over, windows, filters = product_of(layer)
        return runs * windows * over * ceil_div(filters, array.filters)

    def cycles(layer: Sizes, bits: int) -> int:
        """ceil(over/lanes) * ceil(windows/array) * ceil(filters/array)."""
        runs, over, windows, filters = product_of(layer)
        tiles = ceil_div(windows, array.windows) * ceil_div(filters, array.filters)
        return runs * ceil_div(over, array.lanes) * tiles

    yield Line(Part(phase, "additions", "energy_mj"), "bit addition", additions, waits, streams)
    yield Line(Part(phase, "reads of what waits", "energy_mj"), "bit access", waiting_reads, waits)
    yield Line(Part(phase, "reads of what streams", "energy_mj"), "bit access", streaming_reads, waits, streams)
    yield Line(Part(phase, "cycles", "latency_s"), "cycle", cycles, waits, streams)


def _memory_lines() -> Iterator[Line]:
    """Memory of all operands, and the writing of errors; activations and errors for every time a layer repeats."""

    def weight_bits(layer: Sizes, bits: int) -> int:
        """G * rows * c_out * bw."""
        return layer.groups * layer.rows * layer.c_out * bits

    def error_bits(layer: Sizes, bits: int) -> int:
        """G * P * c_out * be."""
        return layer.repeats * layer.groups * layer.positions * layer.c_out * bits

    def activations(layer: Sizes, bits: int) -> int:
        """G * the part of the input that windows touch, once for each bit of activations."""
        return layer.repeats * layer.groups * layer.touched

    yield Line(Part("gradient", "error writes", "energy_mj"), "bit access", error_bits, ERRORS)
    yield Line(Part("forward+backward", "weight memory", "area_mm2"), "bit", weight_bits, WEIGHTS)
    yield Line(Part("gradient", "error memory", "area_mm2"), "bit", error_bits, ERRORS)
    yield Line(Part("gradient", "activation memory", "area_mm2"), "bit", activations, ERRORS, ACTIVATIONS)

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

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

from flax import struct

from halo_jax.hardware.base import Chip
from halo_jax.hardware.bill import ACTIVATIONS, ERRORS, WEIGHTS, Bill, Count, Item, Layers, Line, Part, itemise
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
    lanes: int
    windows: int
    filters: int


# phase, what waits, what streams, and by their names in Sizes: what is summed over, what runs along windows and filters
_PASSES = (
    ("forward", WEIGHTS, ACTIVATIONS, ("rows", "positions", "c_out")),
    ("backward", WEIGHTS, ERRORS, ("c_out", "positions", "rows")),
    ("gradient", ERRORS, ACTIVATIONS, ("positions", "rows", "c_out")),
)


@lru_cache(maxsize=64)
def _items(layers: tuple[LayerShape, ...], array: _Array) -> tuple[Item, ...]:
    passes = (line for one in _PASSES for line in _pass(array, *one))
    return itemise(layers, [*passes, *_memory()])


def _pass(array: _Array, phase: str, waits: int, streams: int, names: tuple[str, str, str]) -> Iterator[Line]:
    """One product in each group: what waits, [over, filters], by what streams, [windows, over]."""

    def line(component: str, metric: str, price: str, count: Callable[[int, int, int], int], held_bits: bool, fed):
        def of(s: Sizes, bits: int) -> int:
            over, along_windows, along_filters = (getattr(s, name) for name in names)
            return s.repeats * s.groups * count(over, along_windows, along_filters) * (bits if held_bits else 1)

        return Part(phase, component, metric), price, of, waits, fed

    windows, filters = array.windows, array.filters
    yield line("additions", "energy_mj", "bit addition", lambda o, w, f: o * w * f, True, streams)
    yield line(
        "reads of what waits", "energy_mj", "bit access", lambda o, w, f: o * f * ceil_div(w, windows), True, None
    )
    yield line(
        "reads of what streams", "energy_mj", "bit access", lambda o, w, f: w * o * ceil_div(f, filters), False, streams
    )
    cycles = lambda o, w, f: ceil_div(o, array.lanes) * ceil_div(w, windows) * ceil_div(f, filters)  # noqa: E731
    yield line("cycles", "latency_s", "cycle", cycles, False, streams)


def _memory() -> Iterator[Line]:
    errors: Count = lambda s, b: s.repeats * s.groups * s.positions * s.c_out * b  # noqa: E731
    weights: Count = lambda s, b: s.groups * s.rows * s.c_out * b  # noqa: E731
    activations: Count = lambda s, b: s.repeats * s.groups * s.touched  # noqa: E731
    yield Part("gradient", "error writes", "energy_mj"), "bit access", errors, ERRORS, None
    yield Part("forward+backward", "weight memory", "area_mm2"), "bit", weights, WEIGHTS, None
    yield Part("gradient", "error memory", "area_mm2"), "bit", errors, ERRORS, None
    yield Part("gradient", "activation memory", "area_mm2"), "bit", activations, ERRORS, ACTIVATIONS

"""HaLoSim: energy, latency and area of training on one sample on SRAM crossbars (paper, section III-B).

Each layer holds its weights on one set of crossbars, read in the forward pass (Eq. 2) and, transposed, in the
backward pass (Eq. 3), and its errors on a second set, read for the weight gradient (Eq. 4). `crossbars` says how
layers lie there; the paper prints no formulas, but these ones give its Table II.
"""

from functools import partial
from pathlib import Path

import jax
from flax import struct

from halo_jax.hardware import crossbars
from halo_jax.hardware.base import Chip
from halo_jax.hardware.bill import Bill, Layers, Part
from halo_jax.hardware.device_file import device_named, load
from halo_jax.hardware.pricing import breakdown_of, total, total_per_layer
from halo_jax.types import Cost, Precision

MJ_PER_PJ, S_PER_US = 1e-9, 1e-6


@struct.dataclass
class Constants:
    """One chip of 1-bit cells. Sizes and the mapping are static; delays, energies and areas may be traced.

    The presets' YAML files, beside this one, say where each number comes from.
    """

    mapping: str = struct.field(pytree_node=False, metadata={"one of": crossbars.MAPPINGS})
    crossbar_size: int = struct.field(pytree_node=False)  # rows, and columns
    crossbars_per_tile: int = struct.field(pytree_node=False)
    bits_per_read: int = struct.field(pytree_node=False)  # bits of input that one read energy pays for
    adcs_per_crossbar: int = struct.field(pytree_node=False)  # physical only, as all that follows but the constants
    replicate: bool = struct.field(pytree_node=False)  # copies of the weights in the spare crossbars of their tiles
    pipelined: bool = struct.field(pytree_node=False)  # each layer works on a sample of its own
    samples_per_update: int  # samples that share one writing of the weights
    crossbar_area_mm2: float  # peripherals included
    read_energy_pj: float  # of one crossbar and `bits_per_read` bits of input
    write_energy_pj: float  # of one crossbar, all rows
    read_delay_us: float  # of one bit of input; physical: and of one column an ADC
    write_delay_us: float  # of one row


def load_device(path: str | Path) -> Constants:
    """Read a chip from a YAML file with all fields of `Constants`. Raises ValueError, one line, if anything is off."""
    return load(path, "halosim", Constants)


_PRESETS = {name: Path(__file__).with_name(f"halosim_{name}.yaml") for name in ("calibrated", "table_i", "physical")}
CALIBRATED, TABLE_I, PHYSICAL = map(load_device, _PRESETS.values())


def make(device: str) -> Chip:
    """One chip: `calibrated`, `table_i`, `physical`, or the path of a YAML file."""
    constants = device_named(device, "halosim", _PRESETS, Constants)
    return Chip(constants, partial(bill, constants=constants))


def evaluate(layers: Layers, precision: Precision, constants: Constants = CALIBRATED, *, relaxed: bool = False) -> Cost:
    """Price training on one sample with one precision for all layers.

        energy_mj = read_energy / 8 * sum(bit_reads) + write_energy * sum(crossbars_e)
        latency_s = read_delay * sum(steps),    area_mm2 = 64 * crossbar_area * sum(tiles)

    over all layers and passes, for the mapping `paper`; `crossbars` has the counts, and what `physical` adds.

    Args:
      layers: the network, as `tracing.layer_shapes` finds it; static.
      precision: bits 1 to 16, whole numbers of any one shape.
      constants: the chip; its floats may be traced.
      relaxed: bits are real numbers, and the cost is differentiable in them: see `pricing.total`.

    Returns:
      Energy in mJ, latency in s and area in mm2, float32 of the shape of the bits.

    Raises:
      ValueError: bits out of range, or a layer that cannot be or is too large to count; one line.

    Source: the paper, section III-B; its Table II is what the formulas are held against.
    """
    return total(bill(layers, constants), precision, relaxed=relaxed)


def evaluate_per_layer(
    layers: Layers, precision: Precision, constants: Constants = CALIBRATED, *, relaxed: bool = False
) -> Cost:
    """Price training on one sample with a precision for each layer.

    Args:
      layers: the network, L layers; static.
      precision: bits 1 to 16, whole numbers `[..., L]`.
      constants: the chip; its floats may be traced.
      relaxed: bits are real numbers: see `evaluate`.

    Returns:
      Energy in mJ, latency in s and area in mm2, float32 `[...]`: that of `evaluate` to the bit, where all layers have
      the same precision.

    Raises:
      ValueError: as `evaluate`.
    """
    return total_per_layer(bill(layers, constants), precision, relaxed=relaxed)


def breakdown(layers: Layers, precision: Precision, constants: Constants = CALIBRATED) -> dict[Part, jax.Array]:
    """Split the cost by layer, phase and component (paper, Fig. 6): each part `[..., L]`; bits `[]` or `[..., L]`."""
    return breakdown_of(bill(layers, constants), precision)


def bill(layers: Layers, constants: Constants) -> Bill:
    """What training on one sample makes the crossbars do, and its prices."""
    c = constants
    layout = crossbars.Layout(c.mapping, c.crossbar_size, c.crossbars_per_tile, c.adcs_per_crossbar, c.replicate)
    items = crossbars.items(tuple(layers), layout)
    write_mj = c.write_energy_pj * MJ_PER_PJ
    prices = {
        "bit read": c.read_energy_pj * MJ_PER_PJ / c.bits_per_read,
        "write": write_mj,
        "row write": write_mj / c.crossbar_size,
        "row update": write_mj / c.crossbar_size / c.samples_per_update,
        "step": c.read_delay_us * S_PER_US,
        "row delay": c.write_delay_us * S_PER_US,
        "row update delay": c.write_delay_us * S_PER_US / c.samples_per_update,
        "tile": c.crossbars_per_tile * c.crossbar_area_mm2,
        "one": 1.0,
    }
    return Bill(items, prices, c.pipelined)

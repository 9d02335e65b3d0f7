"""HaLoSim: energy, latency and area of training on one sample on SRAM crossbars (paper, section III-B).

Each layer holds its weights on one set of crossbars, read in the forward pass (Eq. 2) and, transposed, in the
backward pass (Eq. 3), and its errors on a second set, read for the weight gradient (Eq. 4). Everything is an
exact whole-number count times one constant. The paper prints no formulas; these ones give its Table II.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.hardware.base import EvaluateFn
from halo_jax.types import Cost, LayerShape, Precision
from halo_jax.whole import LIMB_BITS, Whole

PHASES = ("forward", "backward", "gradient")  # Eq. 2, 3, 4
MAX_BITS = 16
MJ_PER_PJ, S_PER_US = 1e-9, 1e-6
Layers = Sequence[LayerShape]


def _ceil(number: Any, divisor: int) -> Any:
    return -(-number // divisor)


@dataclasses.dataclass(frozen=True)
class Constants:
    """One chip of 1-bit cells, calibrated on Table II; Table I, truncated for print, gives none of it."""

    crossbar_size: int = 64  # rows, and columns; Table I
    crossbars_per_tile: int = 64  # Table I: PEs per tile, one crossbar each
    bits_per_read: int = 8  # bits of input that one read energy pays for; calibrated
    crossbar_area_mm2: float = 0.075375  # peripherals included; calibrated, Table I prints 0.07
    read_energy_pj: float = 29.424  # of one crossbar and one 8-bit input; calibrated, Table I prints 29
    write_energy_pj: float = 13.0  # of one crossbar; Table I; too small to show in Table II
    read_delay_us: float = 0.018928  # of one bit of input; calibrated, Table I prints 0.018


CALIBRATED = Constants()
TABLE_I = Constants(crossbar_area_mm2=0.07, read_energy_pj=29.0, read_delay_us=0.018)
DEVICES = {"calibrated": CALIBRATED, "table_i": TABLE_I}


class Counts(NamedTuple):
    """The whole-number counts behind a cost, per layer."""

    crossbars: jax.Array  # [..., L, 2], that hold weights and errors
    tiles: jax.Array  # [..., L, 2]
    bit_reads: Whole  # [..., L, 3], in PHASES: one crossbar read with one bit of input
    steps: Whole  # [..., L, 3], in PHASES: read delays, one after the other


class BreakdownRow(NamedTuple):
    """One part of the cost of one layer; the rows with `in_total` add up to `evaluate`."""

    layer: int
    phase: str  # one of PHASES, or forward+backward, which share the weights
    component: str
    metric: str  # energy_mj, latency_s or area_mm2
    value: float
    in_total: bool


def make(device: str) -> EvaluateFn:
    """`evaluate` with the constants of one device: `calibrated` or `table_i`."""
    if device not in DEVICES:
        raise ValueError(f"hardware.device={device!r} is unknown to halosim; known: {', '.join(DEVICES)}")
    return partial(evaluate, constants=DEVICES[device])


def evaluate(layers: Layers, precision: Precision, constants: Constants = CALIBRATED) -> Cost:
    """Price training on one sample with one precision for all layers; bits 1 to 16, of any one shape.

    energy_mj = read_energy/8 * sum(bit_reads) + write_energy * sum(crossbars of errors),
    latency_s = read_delay * sum(steps) and area_mm2 = 64 * crossbar_area * sum(tiles): see `count`.
    """
    bits = (jnp.repeat(field[..., None], len(layers), axis=-1) for field in _bits(precision))
    return evaluate_per_layer(layers, Precision(*bits), constants)


def evaluate_per_layer(layers: Layers, precision: Precision, constants: Constants = CALIBRATED) -> Cost:
    """Price one precision per layer: bits `[..., L]`, cost `[...]`; otherwise as `evaluate`."""
    chex.assert_axis_dimension(_bits(precision).weights, -1, len(layers))
    counts = count(layers, precision, constants)
    read_mj, write_mj, step_s, tile_mm2 = _units(constants)
    # Through a comparison, each product is rounded: some programs, not all, would fuse one of them with the sum.
    reads_mj = jnp.maximum(counts.bit_reads.sum(-2, -1).as_float() * read_mj, 0)
    writes_mj = jnp.maximum(counts.crossbars[..., 1].sum(-1) * write_mj, 0)
    return Cost(
        energy_mj=reads_mj + writes_mj,
        latency_s=counts.steps.sum(-2, -1).as_float() * step_s,
        area_mm2=counts.tiles.sum((-2, -1)).astype(jnp.float32) * tile_mm2,
    )


def count(layers: Layers, precision: Precision, constants: Constants = CALIBRATED) -> Counts:
    """Count crossbars, tiles, reads and steps of each layer exactly; bits `[..., L]` or `[..., 1]`.

    A layer has G groups of c_in inputs and c_out outputs and touches Ph = (Ho-1)*stride + (kh-1)*dilation + 1
    rows of its input; repeats multiply reads and steps only. Pairs are (weights, errors), triples are PHASES:

        crossbars = G * (ceil(kh*kw*c_in / 64) * ceil(c_out*bw / 64), ceil(Ho*Wo / 64) * ceil(c_out*be / 64))
        tiles     = ceil(crossbars / 64)
        bit_reads = (crossbars_w * Ho*Wo * ba,  crossbars_w * Ho*Wo * be,  crossbars_e * Ph*Pw*c_in * ba)
        steps     = (Ho*Wo * ba,  Ho*Wo * be,  kh*kw*c_in * G*c_out * ba)
    """
    # Paper: no two layers are mapped into a single tile.
    # Choice: the first layer's backward pass is priced as well; Table II cannot tell.
    size = constants.crossbar_size
    c_out, rows, reads, steps = zip(*(_sizes(layer, size) for layer in layers), strict=True)
    weights, activations, errors = _bits(precision)
    held = jnp.stack([weights, weights, errors], axis=-1)  # in PHASES: on the crossbars, and fed to them
    fed = jnp.stack([activations, errors, activations], axis=-1)
    columns = _ceil(np.array(c_out, np.int32)[:, None] * held, size)
    crossbars = np.array(rows, np.int32) * columns[..., 1:]
    return Counts(
        crossbars=crossbars,
        tiles=_ceil(crossbars, constants.crossbars_per_tile),
        bit_reads=_times(reads, columns * fed, most=MAX_BITS * _ceil(MAX_BITS * max(c_out), size)),
        steps=_times(steps, fed, most=MAX_BITS),
    )


def breakdown(layers: Layers, precision: Precision, constants: Constants = CALIBRATED) -> list[BreakdownRow]:
    """Split the cost of one sample by layer, phase and component (paper, Fig. 6); bits `[]` or `[L]`."""
    counts = count(layers, Precision(*(jnp.atleast_1d(bits) for bits in _bits(precision))), constants)
    read_mj, write_mj, step_s, tile_mm2 = _units(constants)
    parts = [
        *((phase, "reads", "energy_mj", read_mj, True) for phase in PHASES),
        # Choice: writing the weights is shown but not in the total; nothing in Table II holds it.
        ("forward+backward", "weight writes", "energy_mj", write_mj, False),
        ("gradient", "error writes", "energy_mj", write_mj, True),
        *((phase, "reads", "latency_s", step_s, True) for phase in PHASES),
        ("forward+backward", "weight tiles", "area_mm2", tile_mm2, True),
        ("gradient", "error tiles", "area_mm2", tile_mm2, True),
    ]
    numbers = (counts.bit_reads.as_float(), counts.crossbars, counts.steps.as_float(), counts.tiles)
    return [
        BreakdownRow(layer, phase, component, metric, float(number * unit), in_total)
        for layer, row in enumerate(np.concatenate(numbers, axis=-1))
        for number, (phase, component, metric, unit, in_total) in zip(row, parts, strict=True)
    ]


def _units(constants: Constants) -> tuple[float, float, float, float]:
    """What one count costs: mJ a bit read, mJ a write, s a step, mm2 a tile."""
    read_mj, write_mj = constants.read_energy_pj * MJ_PER_PJ, constants.write_energy_pj * MJ_PER_PJ
    tile_mm2 = constants.crossbars_per_tile * constants.crossbar_area_mm2
    return read_mj / constants.bits_per_read, write_mj, constants.read_delay_us * S_PER_US, tile_mm2


def _bits(precision: Precision) -> Precision:
    bits = [jnp.asarray(field) for field in precision]
    chex.assert_type(bits, int)
    chex.assert_equal_shape(bits)
    return Precision(*(field.astype(jnp.int32) for field in bits))


def _sizes(layer: LayerShape, size: int) -> tuple[int, tuple, tuple, tuple]:
    """One layer's c_out and the factors, bits apart, of its crossbars [2], reads [3] and steps [3]."""
    kernel, out, groups = layer.kernel, layer.out_hw, layer.groups
    sizes = (layer.c_in, layer.c_out, groups, layer.repeats, *kernel, *out, *layer.stride, *layer.dilation)
    if min(sizes) < 1 or layer.c_in % groups or layer.c_out % groups:
        raise ValueError(f"{layer} has a size below 1, or groups that do not divide its channels")
    touched = [(out[i] - 1) * layer.stride[i] + (kernel[i] - 1) * layer.dilation[i] + 1 for i in (0, 1)]
    c_in, positions, repeats = layer.c_in // groups, out[0] * out[1], layer.repeats
    products = kernel[0] * kernel[1] * c_in
    weights, errors = groups * _ceil(products, size), groups * _ceil(positions, size)
    forward, gradient = repeats * weights * positions, repeats * errors * touched[0] * touched[1] * c_in
    steps = (repeats * positions, repeats * positions, repeats * products * layer.c_out)
    return layer.c_out // groups, (weights, errors), (forward, forward, gradient), steps


def _times(factors: Sequence[Sequence[int]], traced: jax.Array, most: int) -> Whole:
    """Exact products of Python ints `[L, 3]` and int32 `[..., L, 3]` of at most `most`."""
    if sum(map(sum, factors)) * most >= 2 ** (31 + LIMB_BITS) or most > 2 ** (31 - LIMB_BITS):
        raise ValueError("layers too large to count exactly: 2**43 reads at 16 bits, or 131072 channels")
    high, low = (jnp.asarray(n, jnp.int32) for n in np.divmod(np.array(factors, np.int64), 2**LIMB_BITS))
    return Whole.of_limbs(high * traced, low * traced)

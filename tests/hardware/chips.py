"""Chips, layers and bits that the tests of hardware share."""

import dataclasses
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from halo_jax.hardware import PLATFORMS, Chip, bit_serial, halosim
from halo_jax.hardware.bill import Part
from halo_jax.types import LayerShape, Precision
from tests.oracles import bit_serial_counted, halosim_exact, halosim_placed

ALL_BITS = np.stack(np.meshgrid(*[np.arange(1, 17)] * 3, indexing="ij")).reshape(3, -1)
STRIPES = bit_serial.make("stripes_45nm").device


def chip_of(device: Any) -> Chip:
    """The chip of constants that need not stand in a file."""
    bill = halosim.bill if isinstance(device, halosim.Constants) else bit_serial.bill
    return Chip(device, partial(bill, constants=device))


def physical(**changed: Any) -> halosim.Constants:
    return dataclasses.replace(halosim.PHYSICAL, **changed)


CHIPS = {
    "calibrated": halosim.make("calibrated"),
    "table_i": halosim.make("table_i"),
    "physical": halosim.make("physical"),
    "replicate": chip_of(physical(replicate=True)),
    "pipelined": chip_of(physical(pipelined=True)),
    "both": chip_of(physical(replicate=True, pipelined=True, samples_per_update=1)),
    "stripes_45nm": PLATFORMS["bit_serial"]("stripes_45nm"),
}
KINDS = ["calibrated", "replicate", "pipelined", "stripes_45nm"]  # one of each kind: what is no count needs no other

SMALL = (  # strided, dilated, grouped, depthwise, repeated and dense; some with room for copies, some with many tiles
    LayerShape((3, 3), 3, 16, (9, 5), stride=(2, 1), dilation=(1, 3)),
    LayerShape((3, 3), 32, 32, (8, 8), groups=32),
    LayerShape((5, 5), 48, 96, (8, 8), groups=2, repeats=2),
    LayerShape((1, 1), 1024, 300, (1, 1)),
    LayerShape((1, 1), 256, 10, (1, 1)),
)
ODD = (
    LayerShape((1, 1), 1, 1, (1, 1)),
    LayerShape((1, 1), 1, 1, (1, 1), repeats=1000),
    LayerShape((7, 1), 1, 3, (1, 57), stride=(1, 2), dilation=(9, 1)),
    LayerShape((3, 3), 960, 960, (7, 7), groups=960),
    LayerShape((1, 1), 65, 65, (65, 1)),
    LayerShape((7, 7), 3, 64, (112, 112), stride=(2, 2)),
    LayerShape((3, 3), 64, 64, (224, 224)),
    LayerShape((1, 1), 768, 3072, (197, 1), repeats=12),
)


def pairs(low: int, high: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


@st.composite
def layer_shapes(draw: Any, most_channels: int = 400) -> LayerShape:
    groups = draw(st.sampled_from([1, 1, 2, 3, 64]))
    channels = st.one_of(st.just(1), st.integers(1, most_channels // groups))
    out_hw = draw(st.one_of(st.just((1, 1)), pairs(1, 70)))
    sizes = draw(pairs(1, 7)), groups * draw(channels), groups * draw(channels), out_hw
    return LayerShape(*sizes, draw(pairs(1, 3)), draw(pairs(1, 3)), groups, draw(st.integers(1, 3)))


def networks(most_channels: int = 400) -> st.SearchStrategy[tuple[LayerShape, ...]]:
    """Always three layers: what one compiles, all run."""
    return st.tuples(*[layer_shapes(most_channels)] * 3)


BITS_3_LAYERS = st.lists(st.integers(1, 16), min_size=9, max_size=9).map(lambda bits: np.array(bits).reshape(3, 3))


def oracle_of(device: Any) -> Any:
    """The module that counts the same slowly: `evaluate(layers, bits, chip)`."""
    if isinstance(device, bit_serial.Constants):
        return bit_serial_counted
    return halosim_exact if device.mapping == "paper" else halosim_placed


def check_cost(layers: tuple[LayerShape, ...], bits: np.ndarray, device: Any) -> None:
    """The cost at bits `[3, L]` is the oracle's to 1e-6."""
    exact = oracle_of(device).evaluate(layers, list(zip(*bits.tolist(), strict=True)), device)
    found = chip_of(device).evaluate_per_layer(layers, Precision(*bits))
    for name, value in found._asdict().items():
        np.testing.assert_allclose(float(value), float(exact[name]), rtol=1e-6, err_msg=f"{name} on {device}")


def tables(layers: tuple[LayerShape, ...], device: Any) -> dict[Part, np.ndarray]:
    return {item.part: item.table for item in chip_of(device).bill(layers).items}


def check_tables(layers: tuple[LayerShape, ...], device: Any, every_bits: range = range(1, 17)) -> None:
    """Every entry of every table is the oracle's whole number, and no part is more or less."""
    found = {tuple(part[:3]): table for part, table in tables(layers, device).items()}
    for index, layer in enumerate(layers):
        for bits in every_bits:
            exact = oracle_of(device).counts(layer, bits, device)
            assert exact == {key: int(table[index, bits]) for key, table in found.items()}, (layer, bits)

"""A platform's bill: whole-number counts, each with a price, of what training on one sample makes a chip do.

A platform writes down, layer by layer, what training makes the chip do: reads, writes, delays, tiles. Each item is

    count[l] = table[l, bits of the operand that is stored] * bits of the operand that streams in

with the table made of Python ints, so that counts are exact at any size. `pricing` makes of a bill the cost of any
precision, its breakdown and its smooth form, for any platform alike.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from halo_jax.hardware.sizes import Sizes, sizes
from halo_jax.numerics.wide_integers import LIMB_BITS
from halo_jax.types import LayerShape

MAX_BITS = 16
WEIGHTS, ACTIVATIONS, ERRORS = range(3)  # the entries of a Precision
Layers = Sequence[LayerShape]
Count = Callable[[Sizes, int], int]  # of one layer, at so many bits of the operand that is stored


class Part(NamedTuple):
    """What a number of a breakdown is about; the parts with `in_total` add up to the cost."""

    phase: str  # "forward", "backward", "gradient" (of the weights), "update", or "forward+backward"
    component: str
    metric: str  # a field of Cost, or what its unit is: "crossbars", "tiles", "utilisation"
    in_total: bool = True


class Line(NamedTuple):
    """One line of a bill as a platform writes it: what is counted of a layer, and what one count costs."""

    part: Part
    price: str  # its key in the bill's prices
    count: Count
    stored: int  # WEIGHTS or ERRORS: the operand that lies on the chip, and so which store of it is busy
    streamed: int | None = None  # ACTIVATIONS or ERRORS: the operand of which each bit takes the count anew


class Item(NamedTuple):
    """A line that is counted: for each layer of a network, at every bit width of the operand that is stored."""

    part: Part
    price: str
    table: np.ndarray  # int64 [L, 1 + MAX_BITS], at 0 to 16 bits
    stored: int
    streamed: int | None = None

    @property
    def most(self) -> int:
        """The largest count of all layers together, at any precision."""
        return int(self.table.max(1).sum()) * (1 if self.streamed is None else MAX_BITS)


class Bill(NamedTuple):
    """All items of a network, and what one count costs: mJ, s, mm2, or 1 where the count itself is the answer.

    Layers run one after the other. If `pipelined`, each works on a sample of its own, and a sample takes as long as
    the busiest store of the slowest layer: latency_s = max over layers and `stored` of the sum of its items.
    """

    items: tuple[Item, ...]
    prices: dict[str, Any]
    pipelined: bool = False

    @property
    def num_layers(self) -> int:
        """L."""
        return len(self.items[0].table)


def itemise(layers: Layers, lines: Iterable[Line]) -> tuple[Item, ...]:
    """Count the lines of a bill. Raises ValueError, one line, for a layer that cannot be, or is too large to count."""
    if not layers:
        raise ValueError("no layers to price")
    network = [sizes(layer) for layer in layers]
    return tuple(Item(line.part, line.price, _table(network, line), line.stored, line.streamed) for line in lines)


def _table(network: Sequence[Sizes], line: Line) -> np.ndarray:
    rows = [[line.count(layer, bits) for bits in range(1 + MAX_BITS)] for layer in network]
    require_countable(sum(max(row) for row in rows) * (1 if line.streamed is None else MAX_BITS))
    return np.array(rows, np.int64)


def require_countable(most: int) -> None:
    """Raise ValueError, one line, for counts of one kind that two limbs cannot hold."""
    if most >= 2 ** (31 + LIMB_BITS):
        raise ValueError(f"layers too large to count exactly: {most:.2e} of one kind; allowed: below 2**43 = 8.8e12")

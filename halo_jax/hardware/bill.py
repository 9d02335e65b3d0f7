"""A platform's bill: whole-number counts, each with a price, of what training on one sample makes a chip do.

A platform writes down, layer by layer, what training makes the chip do: reads, writes, delays, tiles. Each item is

    count[l] = table[l, bits of what is held] * bits of what is fed

with the table made of Python ints, so that counts are exact at any size; then one multiplication by the price. From
a bill come the cost, its breakdown and its smooth form, for any platform alike.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from halo_jax.hardware.sizes import Sizes, sizes
from halo_jax.hardware.smooth import interpolate
from halo_jax.numerics.wide_integers import LIMB_BITS, Whole
from halo_jax.types import Cost, LayerShape, Precision

MAX_BITS = 16
WEIGHTS, ACTIVATIONS, ERRORS = range(3)  # the entries of a Precision
Layers = Sequence[LayerShape]


class Part(NamedTuple):
    """What a number of a breakdown is about; the parts with `in_total` add up to the cost."""

    phase: str  # "forward", "backward", "gradient" (of the weights), "update", or "forward+backward"
    component: str
    metric: str  # a field of Cost, or what its unit is: "crossbars", "tiles", "utilisation"
    in_total: bool = True


class Item(NamedTuple):
    """One line of a bill: a count of each layer, at every bit width of what is held."""

    part: Part
    price: str  # its key in the bill's prices
    table: np.ndarray  # int64 [L, 1 + MAX_BITS], at 0 to 16 bits of what is held
    held: int  # WEIGHTS or ERRORS: what is stored, and so which part of the chip is busy
    fed: int | None = None  # ACTIVATIONS or ERRORS: what streams in, bit by bit; None: the count is the table's


class BreakdownRow(NamedTuple):
    """One part of the cost of one layer, as a row of a table."""

    layer: int  # from 1
    name: str
    phase: str
    component: str
    metric: str
    value: float
    in_total: bool  # whether it is one of those that add up to the cost


Count = Callable[[Sizes, int], int]  # of one layer, at so many bits of what is held
Line = tuple[Part, str, Count, int, int | None]  # an item before it is counted: part, price, count, held, fed


class Bill(NamedTuple):
    """All items of a network, and what one count costs: mJ, s, mm2, or 1 where the count itself is the answer.

    Layers run one after the other. If `pipelined`, each works on a sample of its own, and a sample takes as long as
    the busiest store of the slowest layer: latency_s = max over layers and `held` of the sum of its items.
    """

    items: tuple[Item, ...]
    prices: dict[str, Any]
    pipelined: bool = False


def itemise(layers: Layers, lines: Iterable[Line]) -> tuple[Item, ...]:
    """Count the lines of a bill. Raises ValueError, one line, for a layer that cannot be, or is too large to count."""
    if not layers:
        raise ValueError("no layers to price")
    all_sizes = [sizes(layer) for layer in layers]
    return tuple(Item(part, price, _table(all_sizes, count, fed), held, fed) for part, price, count, held, fed in lines)


def total(bill: Bill, precision: Precision, *, relaxed: bool = False) -> Cost:
    """The cost of one precision for all layers; bits 1 to 16, of any one shape, which the cost has, too.

    `relaxed` takes real bits: the cost is then a smooth function of them, equal in every bit at whole ones, between
    which counts run along monotone cubics. Where a count stands still its slope is 0: narrow layers do not feel a bit.

    Raises:
      ValueError: bits outside 1 to 16 (traced ones are clamped instead), or more than 2^43 reads, writes or steps at
        16 bits.
      AssertionError: bits that are no whole numbers, unless relaxed, or of several shapes.
    """
    bits = _checked(precision, relaxed)
    if relaxed or bill.pipelined:
        return _cost(bill, [jnp.repeat(field[..., None], _num_layers(bill), axis=-1) for field in bits], relaxed)
    whole = tuple(item._replace(table=item.table.sum(0, keepdims=True)) for item in bill.items)  # all layers as one
    return _cost(bill._replace(items=whole), [field[..., None] for field in bits], relaxed)


def total_per_layer(bill: Bill, precision: Precision, *, relaxed: bool = False) -> Cost:
    """The cost of one precision per layer: bits `[..., L]`, cost `[...]`; otherwise as `total`."""
    bits = _checked(precision, relaxed)
    chex.assert_axis_dimension(bits[0], -1, _num_layers(bill))
    return _cost(bill, bits, relaxed)


def breakdown_of(bill: Bill, precision: Precision) -> dict[Part, jax.Array]:
    """Every part of the cost of every layer, float32 `[..., L]`; bits `[]`, or `[..., L]` one per layer.

    Over the parts of a metric that are `in_total`, and over the layers, they add up to the cost (unless pipelined).
    A component with `cells` and `used cells` also has its `utilisation`, the second by the first.
    """
    bits = [jnp.broadcast_to(field, (*field.shape[:-1], _num_layers(bill))) for field in _checked(precision, False)]
    parts = {item.part: _count(item, bits).as_float() * bill.prices[item.price] for item in bill.items}
    for part, used in list(parts.items()):
        if part.metric == "used cells":
            cells = parts[part._replace(metric="cells")]
            parts[part._replace(metric="utilisation")] = used / cells
    return parts


def breakdown_rows(parts: Mapping[Part, jax.Array], names: Sequence[str] = ()) -> list[BreakdownRow]:
    """A breakdown `[L]` as rows, layer by layer; `names` are those of the layers, empty where not given."""
    by_layer = np.array(list(parts.values()), np.float32).T
    return [
        BreakdownRow(index + 1, names[index] if names else "", *part[:3], value, part.in_total)
        for index, values in enumerate(by_layer)
        for part, value in zip(parts, values, strict=True)
    ]


def _table(all_sizes: Sequence[Sizes], count: Count, fed: int | None) -> np.ndarray:
    rows = [[count(one, bits) for bits in range(1 + MAX_BITS)] for one in all_sizes]
    _require_countable(sum(max(row) for row in rows) * _most_fed(fed))
    return np.array(rows, np.int64)


def _most_fed(fed: int | None) -> int:
    return 1 if fed is None else MAX_BITS


def _require_countable(most: int) -> None:
    if most >= 2 ** (31 + LIMB_BITS):
        raise ValueError(f"layers too large to count exactly: {most:.2e} of one kind; allowed: below 2**43 = 8.8e12")


def _num_layers(bill: Bill) -> int:
    return len(bill.items[0].table)


def _checked(precision: Precision, relaxed: bool) -> list[jax.Array]:
    """The three bit widths as int32, or float32 if relaxed."""
    bits = [jnp.asarray(field) for field in precision]
    if not relaxed:
        chex.assert_type(bits, int)
    chex.assert_equal_shape(bits)
    for name, field in zip(Precision._fields, precision, strict=True):
        known = np.empty(0) if isinstance(field, Tracer) else np.asarray(field)
        if known.size and not 1 <= known.min() <= known.max() <= MAX_BITS:
            raise ValueError(f"bits of {name} from {known.min()} to {known.max()}; allowed: 1 to {MAX_BITS}")
    return [_clamped(field.astype(jnp.float32 if relaxed else jnp.int32)) for field in bits]


def _clamped(bits: jax.Array) -> jax.Array:
    """The bits, 1 to 16; at the bounds with their whole gradient, of which `jnp.clip` leaves half."""
    bounded = jax.lax.stop_gradient(jnp.clip(bits, 1, MAX_BITS))
    return jnp.where((bits < 1) | (bits > MAX_BITS), bounded, bits)


def _cost(bill: Bill, bits: list[jax.Array], relaxed: bool) -> Cost:
    """The cost at bits `[..., L]`, of tables with as many layers."""
    if not relaxed:
        return Cost(*(_metric(bill, metric, bits) for metric in Cost._fields))
    # The exact cost at the nearest whole bits, and how far the smooth one goes from there: at whole bits nowhere.
    near = [jax.lax.stop_gradient(jnp.round(field)) for field in bits]
    exact = _cost(bill, [field.astype(jnp.int32) for field in near], relaxed=False)
    smooth, there = (Cost(*(_metric(bill, m, at, True) for m in Cost._fields)) for at in (bits, near))
    whole = jnp.all(jnp.stack([field == n for field, n in zip(bits, near, strict=True)]), axis=(0, -1))
    start = [jax.lax.stop_gradient(jnp.where(whole, s, t)) for s, t in zip(smooth, there, strict=True)]
    return Cost(*(e + (s - t) for e, s, t in zip(exact, smooth, start, strict=True)))


def _metric(bill: Bill, metric: str, bits: list[jax.Array], relaxed: bool = False) -> jax.Array:
    items = [item for item in bill.items if item.part.metric == metric and item.part.in_total]
    if metric == "latency_s" and bill.pipelined:
        stores = [[item for item in items if item.held == held] for held in (WEIGHTS, ERRORS)]
        busy = [_priced(bill, store, bits, relaxed, per_layer=True).max(-1) for store in stores if store]
        return jnp.stack(busy).max(0)
    return _priced(bill, items, bits, relaxed)


def _priced(
    bill: Bill, items: Sequence[Item], bits: list[jax.Array], relaxed: bool, per_layer: bool = False
) -> jax.Array:
    """The sum of some items, over the layers or per layer: exact for each price, then priced, then added."""
    total = jnp.zeros(bits[0].shape if per_layer else bits[0].shape[:-1])
    for price in dict.fromkeys(item.price for item in items):
        same = [item for item in items if item.price == price]
        _require_countable(sum(int(item.table.max(1).sum()) * _most_fed(item.fed) for item in same))
        if relaxed:
            smooth = jnp.stack([_smooth_count(item, bits) for item in same]).sum(0)
            number = smooth if per_layer else smooth.sum(-1)
        else:
            counts = [_count(item, bits) for item in same]
            added = Whole(*(jnp.stack(limbs) for limbs in zip(*counts, strict=True))).sum(0)
            number = (added if per_layer else added.sum(-1)).as_float()
        total = _rounded(total + _rounded(number * bill.prices[price]))
    return total


def _rounded(x: jax.Array) -> jax.Array:
    """A number from 0, as it is: through a comparison no program can fuse a product with a sum, or reorder sums."""
    return jnp.maximum(x, 0)


def _count(item: Item, bits: list[jax.Array]) -> Whole:
    """The exact count of each layer, `[..., L]`."""
    high, low = (jnp.asarray(limb, jnp.int32) for limb in np.divmod(item.table, 2**LIMB_BITS))
    if (item.table[:, 1:] == item.table[:, 1:2]).all():
        high, low = (jnp.broadcast_to(limb[:, 1], bits[0].shape) for limb in (high, low))
    else:
        at = bits[item.held] + np.arange(len(item.table), dtype=np.int32) * item.table.shape[1]
        high, low = (limb.ravel()[at] for limb in (high, low))
    return Whole(high, low) if item.fed is None else Whole.of_limbs(high * bits[item.fed], low * bits[item.fed])


def _smooth_count(item: Item, bits: list[jax.Array]) -> jax.Array:
    held = interpolate(item.table, bits[item.held])
    return held if item.fed is None else held * bits[item.fed]

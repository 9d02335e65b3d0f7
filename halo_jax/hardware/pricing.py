"""From a bill to the cost of a precision, its breakdown and its smooth form, for any platform alike.

    metric = sum over prices of price * (sum over the items of that price and over layers of count[l])

An inner sum is exact and is rounded to float32 once, before it is priced; products and outer sums are rounded as they
stand. So a cost has the same bits in every program: eager, jitted or lifted, one precision for all layers or one each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from halo_jax.hardware.bill import ERRORS, MAX_BITS, WEIGHTS, Bill, Item, Part, require_countable
from halo_jax.hardware.smooth import interpolate
from halo_jax.numerics.rounding import rounded
from halo_jax.numerics.wide_integers import LIMB_BITS, WideInt
from halo_jax.types import Cost, Precision

Bits = list[jax.Array]  # of weights, activations and errors, [..., L]: int32, or float32 where they are real
CountItems = Callable[[Sequence[Item], Bits], Any]  # the sum of some items, of each layer [..., L]


class BreakdownRow(NamedTuple):
    """One part of the cost of one layer, as a row of a table."""

    layer: int  # from 1
    name: str
    phase: str
    component: str
    metric: str
    value: float
    in_total: bool  # whether it is one of those that add up to the cost


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
        alike = [jnp.repeat(field[..., None], bill.num_layers, axis=-1) for field in bits]
        return _relaxed_cost(bill, alike) if relaxed else _cost(bill, alike, _exact_count)
    as_one_layer = tuple(item._replace(table=item.table.sum(0, keepdims=True)) for item in bill.items)
    return _cost(bill._replace(items=as_one_layer), [field[..., None] for field in bits], _exact_count)


def total_per_layer(bill: Bill, precision: Precision, *, relaxed: bool = False) -> Cost:
    """The cost of one precision per layer: bits `[..., L]`, cost `[...]`; otherwise as `total`."""
    bits = _checked(precision, relaxed)
    chex.assert_axis_dimension(bits[0], -1, bill.num_layers)
    return _relaxed_cost(bill, bits) if relaxed else _cost(bill, bits, _exact_count)


def breakdown_of(bill: Bill, precision: Precision) -> dict[Part, jax.Array]:
    """Every part of the cost of every layer, float32 `[..., L]`; bits `[]`, or `[..., L]` one per layer.

    Over the parts of a metric that are `in_total`, and over the layers, they add up to the cost (unless pipelined).
    A component with `cells` and `used cells` also has its `utilisation`, the second by the first.
    """
    bits = [jnp.broadcast_to(field, (*field.shape[:-1], bill.num_layers)) for field in _checked(precision, False)]
    found = {item.part: _count(item, bits).as_float() * bill.prices[item.price] for item in bill.items}
    for part, used in list(found.items()):
        if part.metric == "used cells":
            cells = found[part._replace(metric="cells")]
            found[part._replace(metric="utilisation")] = used / cells
    return found


def breakdown_rows(breakdown: Mapping[Part, jax.Array], names: Sequence[str] = ()) -> list[BreakdownRow]:
    """A breakdown `[L]` as rows, layer by layer; `names` are those of the layers, empty where not given."""
    by_layer = np.array(list(breakdown.values()), np.float32).T
    return [
        BreakdownRow(index + 1, names[index] if names else "", *part[:3], value, part.in_total)
        for index, values in enumerate(by_layer)
        for part, value in zip(breakdown, values, strict=True)
    ]


def _checked(precision: Precision, relaxed: bool) -> Bits:
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


def _cost(bill: Bill, bits: Bits, count: CountItems) -> Cost:
    """The cost at bits `[..., L]`, of tables with as many layers."""
    return Cost(*(_metric(bill, metric, bits, count) for metric in Cost._fields))


def _relaxed_cost(bill: Bill, bits: Bits) -> Cost:
    """The exact cost at the nearest whole bits, and how far the smooth one goes from there: at whole bits nowhere."""
    nearest = [jax.lax.stop_gradient(jnp.round(field)) for field in bits]
    exact = _cost(bill, [field.astype(jnp.int32) for field in nearest], _exact_count)
    smooth, smooth_at_nearest = (_cost(bill, at, _smooth_count) for at in (bits, nearest))
    are_whole = jnp.all(jnp.stack([field == near for field, near in zip(bits, nearest, strict=True)]), axis=(0, -1))

    def moved(exact: jax.Array, smooth: jax.Array, smooth_at_nearest: jax.Array) -> jax.Array:
        # Two places of a program may round the same sum of floats otherwise: at whole bits it is taken off itself.
        start = jax.lax.stop_gradient(jnp.where(are_whole, smooth, smooth_at_nearest))
        return exact + (smooth - start)

    return Cost(*map(moved, exact, smooth, smooth_at_nearest))


def _metric(bill: Bill, metric: str, bits: Bits, count: CountItems) -> jax.Array:
    """One metric `[...]`: of all layers together, but a pipelined chip's latency is that of its busiest store."""
    items = [item for item in bill.items if item.part.metric == metric and item.part.in_total]
    by_layer = bits[0].shape
    if metric == "latency_s" and bill.pipelined:
        stores = [[item for item in items if item.stored == operand] for operand in (WEIGHTS, ERRORS)]
        busy = [_priced(bill.prices, _by_price(store, bits, count), by_layer).max(-1) for store in stores if store]
        return jnp.stack(busy).max(0)
    of_network = ((price, counts.sum(-1)) for price, counts in _by_price(items, bits, count))
    return _priced(bill.prices, of_network, by_layer[:-1])


def _by_price(items: Sequence[Item], bits: Bits, count: CountItems) -> Iterator[tuple[str, Any]]:
    """Each price, and the sum of the items that have it, of each layer `[..., L]`."""
    for price in dict.fromkeys(item.price for item in items):
        same = [item for item in items if item.price == price]
        require_countable(sum(item.most for item in same))
        yield price, count(same, bits)


def _priced(prices: Mapping[str, Any], counts: Iterable[tuple[str, Any]], shape: tuple[int, ...]) -> jax.Array:
    """The sum over prices of price * count, each product and each sum rounded as it stands."""
    cost = jnp.zeros(shape)
    for price, count in counts:
        number = count.as_float() if isinstance(count, WideInt) else count
        cost = rounded(cost + rounded(number * prices[price]))
    return cost


def _exact_count(items: Sequence[Item], bits: Bits) -> WideInt:
    counts = [_count(item, bits) for item in items]
    return WideInt(*(jnp.stack(limbs) for limbs in zip(*counts, strict=True))).sum(0)


def _smooth_count(items: Sequence[Item], bits: Bits) -> jax.Array:
    """The same at real bits, along smooth curves."""
    curves = []
    for item in items:
        curve = interpolate(item.table, bits[item.stored])
        curves.append(curve if item.streamed is None else curve * bits[item.streamed])
    return jnp.stack(curves).sum(0)


def _count(item: Item, bits: Bits) -> WideInt:
    """The exact count of one item, of each layer `[..., L]`."""
    high, low = (jnp.asarray(limb, jnp.int32) for limb in np.divmod(item.table, 2**LIMB_BITS))
    if (item.table[:, 1:] == item.table[:, 1:2]).all():
        high, low = (jnp.broadcast_to(limb[:, 1], bits[0].shape) for limb in (high, low))
    else:
        entry = bits[item.stored] + np.arange(len(item.table), dtype=np.int32) * item.table.shape[1]
        high, low = (limb.ravel()[entry] for limb in (high, low))
    if item.streamed is None:
        return WideInt(high, low)
    return WideInt.of_limbs(high * bits[item.streamed], low * bits[item.streamed])

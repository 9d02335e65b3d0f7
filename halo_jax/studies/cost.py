"""What bits cost on a chip: one precision with its breakdown, or a grid of precisions with its front."""

from collections import namedtuple
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.config import Config
from halo_jax.hardware.pricing import BreakdownRow, breakdown_rows
from halo_jax.parameters import grid
from halo_jax.records.units import quantity_of, unit_of
from halo_jax.selectors import pareto_front, quantisation_noise
from halo_jax.studies.base import Table, chip_of, describe, macs, network_of, price, setting, weights
from halo_jax.types import Cost, Precision

_OCCUPATION = {"crossbars": "crossbars", "tiles": "tiles", "utilisation": "used_percent"}
_NAMES = tuple(map(quantity_of, Cost._fields))


class TotalRow(NamedTuple):
    """One metric of the whole network, beside 8-8-8."""

    metric: str
    value: float
    unit: str
    at_8_bits: float
    change_percent: float


class PartRow(NamedTuple):
    """One part of a metric, all layers together; without a share it is not in the total."""

    metric: str
    phase: str
    component: str
    value: float
    unit: str
    share_percent: float | None


class SkippedRow(NamedTuple):
    """Operations of the network that are not priced."""

    operation: str
    reason: str
    times: int
    macs: int
    elements: int


class LayerRow(NamedTuple):
    """One layer of the network."""

    layer: int  # from 1
    name: str
    shape: str
    weights: int
    macs: int  # of one forward pass


class GridRow(NamedTuple):
    """One precision of a grid; a front holds what no other precision beats in both the metric and the noise."""

    precision: str
    energy_mj: float
    latency_s: float
    area_mm2: float
    noise: float  # 4^-bw + 4^-ba + 4^-be
    fronts: str  # of "energy", "latency" and "area" those that it is on


def study(config: Config) -> dict[str, Table]:
    """Price `config.precision`, one or a grid, of the config's model, data set and chip."""
    bits = grid(config.precision)
    if all(len(widths) == 1 for widths in bits):
        return _one(config, Precision(*(widths[0] for widths in bits)))
    return {"grid": _grid(config, bits)}


def _one(config: Config, precision: Precision) -> dict[str, Table]:
    network, chip = network_of(config), chip_of(config)
    rows = breakdown_rows(chip.breakdown(network.layers, precision), network.names)
    cost, eight = (price(chip, network.layers, bits) for bits in (precision, Precision(8, 8, 8)))
    totals = [
        TotalRow(quantity_of(metric), value, unit_of(metric), before, 100 * (value / before - 1))
        for metric, value, before in zip(Cost._fields, cost, eight, strict=True)
    ]
    what = setting(config, precision)
    pairs = enumerate(zip(network.names, network.layers, strict=True), start=1)
    layers = [LayerRow(i, name, describe(layer), weights(layer), macs(layer)) for i, (name, layer) in pairs]
    skipped = [SkippedRow(*operations) for operations in network.skipped]
    return {
        "breakdown": Table(f"{what}: every part of every layer", rows, shown=False),
        "layers": Table("Layers", layers),
        **{f"{metric}_by_layer": _by_layer(network.names, rows, metric) for metric in Cost._fields},
        **_occupation(network.names, rows),
        **({"skipped": Table("Not priced", skipped, shown=any(row.macs for row in skipped))} if skipped else {}),
        "parts": Table("By phase and component, all layers; without a share: not in the total", _parts(rows)),
        "totals": Table(f"{what}: per training sample", totals),
    }


def _by_layer(names: Sequence[str], rows: Sequence[BreakdownRow], metric: str) -> Table:
    """One metric of every layer, by phase; the area by what lies there."""
    name, unit = metric.split("_")
    own = [row for row in rows if row.metric == metric and row.in_total]

    def column(row: BreakdownRow) -> str:
        return row.component.split(" ")[0] if name == "area" else row.phase

    columns, total = list(dict.fromkeys(map(column, own))), sum(row.value for row in own)
    kind: Any = namedtuple(
        "LayerCostRow", ["layer", *(f"{name}_{unit}" for name in columns), f"total_{unit}", "share_percent"]
    )
    table = []
    for index, layer in enumerate(names, start=1):
        values = [sum(row.value for row in own if row.layer == index and column(row) == wanted) for wanted in columns]
        table.append(kind(layer, *values, sum(values), 100 * sum(values) / total))
    return Table(f"{name.capitalize()} by layer", table)


def _occupation(names: Sequence[str], rows: Sequence[BreakdownRow]) -> dict[str, Table]:
    """What each layer takes of the chip, on a platform that counts it, and how much of that holds a bit."""
    own = [row for row in rows if row.metric in _OCCUPATION]
    if not own:
        return {}

    def column(row: BreakdownRow) -> str:
        return f"{row.component.split(' ')[0]}_{_OCCUPATION[row.metric]}"

    def shown(row: BreakdownRow) -> float:
        return 100 * row.value if row.metric == "utilisation" else row.value

    kind: Any = namedtuple("OccupationRow", ["layer", *dict.fromkeys(map(column, own))])
    by_layer = [[shown(row) for row in own if row.layer == index] for index in range(1, 1 + len(names))]
    table = [kind(name, *values) for name, values in zip(names, by_layer, strict=True)]
    return {"occupation": Table("Crossbars and tiles by layer", table)}


def _parts(rows: Sequence[BreakdownRow]) -> list[PartRow]:
    """Each part of each metric, added over the layers."""
    found = []
    for metric in Cost._fields:
        own = [row for row in rows if row.metric == metric]
        total = sum(row.value for row in own if row.in_total)
        for phase, component, in_total in dict.fromkeys((row.phase, row.component, row.in_total) for row in own):
            value = sum(row.value for row in own if (row.phase, row.component) == (phase, component))
            share = 100 * value / total if in_total else None
            found.append(PartRow(quantity_of(metric), phase, component, value, unit_of(metric), share))
    return found


def _grid(config: Config, bits: Sequence[Sequence[int]]) -> Table:
    network, chip = network_of(config), chip_of(config)
    points = np.stack(np.meshgrid(*bits, indexing="ij")).reshape(3, -1).astype(np.int32)
    precision = Precision(*jnp.asarray(points))
    cost = jax.jit(lambda precision: chip.evaluate(network.layers, precision))(precision)
    noise = np.asarray(quantisation_noise(precision))
    fronts = [np.asarray(pareto_front(jnp.stack([metric, noise], axis=-1))) for metric in cost]
    on = [" ".join(name for name, front in zip(_NAMES, fronts, strict=True) if front[i]) for i in range(len(noise))]
    names = [str(Precision(*point)) for point in points.T]
    rows = [GridRow(*row) for row in zip(names, *map(np.asarray, cost), noise, on, strict=True)]
    rows.sort(key=lambda row: (getattr(row, config.sort_by), *row[1:5]))
    return Table(f"{setting(config)}: {len(rows)} precisions by {config.sort_by}, per training sample", rows)

"""One precision for each layer within a budget, against the best one for all layers."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.config import Config, ConfigError
from halo_jax.records.units import unit_of
from halo_jax.selectors import PerLayer, best_within, bit_grid, layer_costs, per_layer, quantisation_noise
from halo_jax.studies.base import Table, chip_of, describe, network_of, number, setting
from halo_jax.types import Cost, Precision

_SHARE = 0.5  # of what `start` costs, where no budget is given


class LayerRow(NamedTuple):
    """The precision of one layer."""

    layer: int  # from 1
    name: str
    shape: str
    weights_bits: int
    activations_bits: int
    errors_bits: int


class ComparisonRow(NamedTuple):
    """A quantity with one precision for each layer and with one for all."""

    quantity: str
    budget: float | None
    per_layer: float
    uniform: float | None
    unit: str


def study(config: Config) -> dict[str, Table]:
    """Choose bits from `selector.floor` to `selector.start` for each layer, within the first budgets of `demand`.

    Without a budget it is half of the energy at the start. The noise of the network is the sum over its layers.
    """
    network, chip = network_of(config), chip_of(config)
    if chip.bill(network.layers).pipelined:
        raise ConfigError(f"hardware.device={config.hardware.device!r} is pipelined; allowed: costs that layers add up")
    start, floor = Precision.parse(config.selector.start), Precision.parse(config.selector.floor)
    candidates = Precision(*map(jnp.asarray, bit_grid(start, floor)))
    budget = _budget(config, chip.evaluate(network.layers, start))
    alone = [functools.partial(chip.evaluate, (layer,)) for layer in network.layers]
    found = jax.jit(lambda: per_layer(layer_costs(alone, candidates), candidates, budget))()
    if not bool(found.feasible):
        limits = ", ".join(
            f"demand.{name}={float(limit):g}" for name, limit in budget._asdict().items() if limit < jnp.inf
        )
        raise ConfigError(f"{limits}: nothing from {floor} to {start} fits; allowed: more, or a lower floor")
    layers = zip(network.names, network.layers, np.stack(found.precision, axis=1).tolist(), strict=True)
    rows = [LayerRow(index, name, describe(layer), *bits) for index, (name, layer, bits) in enumerate(layers, start=1)]
    ours = chip.evaluate_per_layer(network.layers, found.precision)
    return {
        "per_layer": Table(f"{setting(config)}: a precision for each layer", rows),
        "comparison": _comparison(found, ours, candidates, chip.evaluate(network.layers, candidates), budget),
    }


def _comparison(found: PerLayer, ours: Cost, candidates: Precision, costs: Cost, budget: Cost) -> Table:
    """The choice against the best of the candidates that all layers share."""
    best = best_within(candidates, costs, budget)
    uniform, cost = candidates.layer(int(best)), Cost(*(metric[best] for metric in costs))
    rows = [
        ComparisonRow(name, float(limit) if limit < jnp.inf else None, number(a), number(b), unit_of(name))
        for name, limit, a, b in zip(Cost._fields, budget, ours, cost, strict=True)
    ]
    noise = len(found.precision.weights) * quantisation_noise(uniform)
    rows.append(ComparisonRow("quantisation noise", None, number(found.noise), number(noise), ""))
    rows.append(ComparisonRow("no choice has less than", None, number(found.bound), None, ""))
    fits = all(bool(value <= limit) for value, limit in zip(cost, budget, strict=True))
    which = "the finest within the same budget" if fits else "which overshoots least: none fits"
    return Table(f"Against {Precision(*map(int, uniform))} for all layers, {which}", rows)


def _budget(config: Config, at_start: Cost) -> Cost:
    limits = [config.demand[metric][:1] for metric in Cost._fields]
    if not any(limit and limit[0] for limit in limits):
        return Cost(_SHARE * at_start.energy_mj, *(jnp.float32(jnp.inf),) * 2)
    return Cost(*(jnp.float32(limit[0] if limit and limit[0] else jnp.inf) for limit in limits))

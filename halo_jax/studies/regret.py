"""How far HaLo-PS, which is greedy, stays behind the best choice: at equal reductions, and within equal budgets."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.config import Config, schema
from halo_jax.selectors import CostFn, best_within, bit_grid, greedy_path, quantisation_noise, regret
from halo_jax.studies.base import PAPER_SETS, Table, chip_of, network_of
from halo_jax.types import Constraint, Cost, Precision

_SHARES = (0.9, 0.75, 0.6, 0.5, 0.4, 0.35)  # budgets, of what `start` costs
_METRICS = (Constraint.ENERGY, Constraint.LATENCY, Constraint.AREA)


class RegretRow(NamedTuple):
    """The greedy path after some reductions, and the best precision of as many."""

    dataset: str
    metric: str
    reductions: int
    greedy: str
    best: str
    regret_percent: float  # by how much the greedy one costs more


class BudgetRow(NamedTuple):
    """The first precision of the greedy path within a budget, and the finest one that there is."""

    dataset: str
    metric: str
    budget_percent: float  # of the cost at the start
    greedy: str
    exhaustive: str
    noise_ratio: float  # quantisation noise of the greedy one by that of the other


def study(config: Config) -> dict[str, Table]:
    """Compare on the paper's data sets, with the config's chip, model, start, floor and step."""
    chip = chip_of(config)
    pairs, budgets = [], []
    for dataset in PAPER_SETS:
        cost_fn = functools.partial(chip.evaluate, network_of(config, dataset).layers)
        for metric in _METRICS:
            pairs += [RegretRow(dataset, metric.name.lower(), *row) for row in _regret(config, cost_fn, metric)]
            budgets += [BudgetRow(dataset, metric.name.lower(), *row) for row in _budgets(config, cost_fn, metric)]
    what = f"{config.model}, {config.hardware.name} {config.hardware.device}"
    worst = max(row.regret_percent for row in pairs)
    return {
        "regret": Table(f"{what}: greedy against the best of as many reductions; at most {worst:.2g} % more", pairs),
        "budgets": Table(f"{what}: greedy against the finest precision within a budget on its metric", budgets),
    }


def _range(config: Config) -> dict:
    start, floor = Precision.parse(config.selector.start), Precision.parse(config.selector.floor)
    return {"start": start, "floor": floor, "step": schema.get(config, "selector.halo_ps.step")}


def _regret(config: Config, cost_fn: CostFn, metric: Constraint) -> Iterator[tuple]:
    found = jax.jit(lambda: regret(cost_fn, metric, **_range(config)))()
    greedy, best = (np.stack(precision, axis=1).tolist() for precision in (found.greedy, found.best))
    for depth in range(1, len(greedy)):
        percent = 100 * float(found.regret[depth])
        yield depth, str(Precision(*greedy[depth])), str(Precision(*best[depth])), percent


def _budgets(config: Config, cost_fn: CostFn, metric: Constraint) -> Iterator[tuple]:
    limits = _range(config)
    path = greedy_path(cost_fn, metric, **limits)
    grid = Precision(*map(jnp.asarray, bit_grid(limits["start"], limits["floor"])))
    costs = cost_fn(grid)
    along = cost_fn(path)[metric - 1]
    for share in _SHARES:
        limit = share * along[0]
        if not bool((along <= limit).any()):
            continue
        budget = Cost(*(limit if index == metric - 1 else jnp.float32(jnp.inf) for index in range(3)))
        greedy, best = path.layer(int(jnp.argmax(along <= limit))), grid.layer(int(best_within(grid, costs, budget)))
        ratio = float(quantisation_noise(greedy) / quantisation_noise(best))
        yield 100 * share, str(Precision(*map(int, greedy))), str(Precision(*map(int, best))), ratio

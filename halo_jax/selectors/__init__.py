"""Precision selectors: which bits a client trains with. To add one: a file here and one line in `SELECTORS`.

An entry is a factory of a `Selector`; its keyword parameters become fields of the config. Beside the table stand plain
functions for what is no selector, as it does not choose for a client and a round: one precision per layer (`per_layer`,
which solves a `knapsack`), a Pareto front, a search by gradients, and how far the greedy HaLo-PS is from the best.
"""

from collections.abc import Callable

from halo_jax.selectors.base import CostFn, Selector
from halo_jax.selectors.exhaustive import exhaustive
from halo_jax.selectors.gradient_search import gradient_search
from halo_jax.selectors.grid import best_within, bit_grid, quantisation_noise
from halo_jax.selectors.halo_ps import halo_ps, reduction_rounds
from halo_jax.selectors.pacing import Pace, in_listed, on_plateau
from halo_jax.selectors.pareto import pareto_front
from halo_jax.selectors.per_layer import PerLayer, layer_costs, per_layer
from halo_jax.selectors.random import random
from halo_jax.selectors.regret import Regret, greedy_path, regret
from halo_jax.selectors.static import static
from halo_jax.selectors.weighted import weighted

__all__ = [
    "SELECTORS",
    "CostFn",
    "Pace",
    "PerLayer",
    "Regret",
    "Selector",
    "best_within",
    "bit_grid",
    "exhaustive",
    "gradient_search",
    "greedy_path",
    "halo_ps",
    "in_listed",
    "layer_costs",
    "on_plateau",
    "pareto_front",
    "per_layer",
    "quantisation_noise",
    "random",
    "reduction_rounds",
    "regret",
    "static",
    "weighted",
]

SELECTORS: dict[str, Callable[..., Selector]] = {
    "static": static,
    "halo_ps": halo_ps,
    "exhaustive": exhaustive,
    "weighted": weighted,
    "random": random,
}

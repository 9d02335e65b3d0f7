"""Studies: questions that are answered without training, in seconds. To add one: a file here, a line in `STUDIES`.

All but `partition` ask the cost model alone.
An entry is a function from a config to tables (`studies.base.Table`); `run_study` writes and prints them, and draws the
figures that apply to them.
"""

from collections.abc import Callable

from halo_jax.config import Config
from halo_jax.studies import breakdown, cost, partition, payload, per_layer, regret, selection, sensitivity, table2
from halo_jax.studies.base import Table

__all__ = ["STUDIES", "Table"]

STUDIES: dict[str, Callable[[Config], dict[str, Table]]] = {
    "cost": cost.study,
    "sensitivity": sensitivity.study,
    "breakdown": breakdown.study,
    "regret": regret.study,
    "per_layer": per_layer.study,
    "selection": selection.study,
    "table2": table2.study,
    "payload": payload.study,
    "partition": partition.study,
}

"""Paper, Fig. 1: energy, latency and area as one dimension goes from 8 to 2 bits and the other two stay at 8."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from halo_jax.config import Config
from halo_jax.records.units import quantity_of
from halo_jax.studies.base import PAPER_SETS, Table, chip_of, network_of
from halo_jax.types import Cost, Precision

_CLAIMS = {  # the caption of Fig. 1, which prints no numbers: of energy, latency, area
    "weights": ("unchanged", "unchanged", "substantial"),
    "activations": ("affected", "affected", "not mentioned"),
    "errors": ("affected", "not affected", "not affected"),
}


class SweepRow(NamedTuple):
    """The cost at one number of bits of one dimension, the other two at 8."""

    dataset: str
    dimension: str
    bits: int
    energy_mj: float
    latency_s: float
    area_mm2: float


class ClaimRow(NamedTuple):
    """What the paper says that fewer bits of one dimension do to a metric, and what 2 instead of 8 do."""

    dataset: str
    dimension: str
    metric: str
    paper: str
    ours_percent: float


def study(config: Config) -> dict[str, Table]:
    """Sweep each dimension on the paper's three data sets."""
    chip, bits = chip_of(config), np.arange(8, 1, -1)
    sweeps, claims = [], []
    for dataset in PAPER_SETS:
        layers = network_of(config, dataset).layers
        for index, dimension in enumerate(Precision._fields):
            points = np.full((3, len(bits)), 8)
            points[index] = bits
            cost = Cost(*map(np.asarray, chip.evaluate(layers, Precision(*jnp.asarray(points)))))
            values = zip(bits.tolist(), *cost, strict=True)
            sweeps += [SweepRow(dataset, dimension, *row) for row in values]
            for name, metric, paper in zip(cost._fields, cost, _CLAIMS[dimension], strict=True):
                change = 100 * (metric[-1] / metric[0] - 1)
                claims.append(ClaimRow(dataset, dimension, quantity_of(name), paper, change))
    return {
        "sweep": Table("Cost of one training sample as one dimension falls, the others at 8 bits", sweeps, shown=False),
        "claims": Table("From 8 to 2 bits of one dimension: what Fig. 1's caption says, and our change", claims),
    }

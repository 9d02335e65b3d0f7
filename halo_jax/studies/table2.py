"""Paper, Table II: energy, latency and area of the static rows, and of the group rows by reconstructed traces.

The paper prints the groups' means over 100 rounds, not the rounds. The traces here give 52 of the table's 54 values;
they are our reconstruction, one solution among others, and no proof that its clients went this way.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from halo_jax.config import Config
from halo_jax.hardware import Chip
from halo_jax.paper import TABLE2
from halo_jax.studies.base import PAPER_SETS, Table, chip_of, network_of
from halo_jax.types import Cost, LayerShape, Precision

TRACES: dict[str, dict[str, int]] = {  # rounds of 100 at each precision; rows E, L, A of Table II
    "HaLo-FL-E": {"8-8-8": 12, "8-8-6": 52, "8-8-4": 12, "8-8-2": 13, "6-8-2": 10, "4-8-2": 1},
    "HaLo-FL-L": {"8-8-8": 39, "8-6-8": 31, "8-4-8": 30},
    "HaLo-FL-A": {"8-8-8": 34, "6-8-8": 35, "4-8-8": 20, "4-8-6": 10, "4-8-4": 1},
}


class ValueRow(NamedTuple):
    """One value of Table II: the paper's, ours, and the difference in the printed digits."""

    dataset: str
    row: str
    metric: str
    paper: str
    ours: str
    difference: str


class TraceRow(NamedTuple):
    """How many of 100 rounds a group's clients spend at a precision, in our reconstruction."""

    row: str
    precision: str
    rounds: int


def study(config: Config) -> dict[str, Table]:
    """Compute the 54 values on the config's chip and model."""
    chip = chip_of(config)
    rows = []
    for dataset in PAPER_SETS:
        ours = _costs(chip, network_of(config, dataset).layers)
        for name, text in TABLE2[dataset].items():
            for metric, value, paper in zip(Cost._fields, ours[name], text.split()[1:], strict=True):
                rounded = Decimal(float(value)).quantize(Decimal(paper), ROUND_HALF_UP)
                rows.append(ValueRow(dataset, name, metric, paper, str(rounded), str(rounded - Decimal(paper))))
    equal = sum(row.paper == row.ours for row in rows)
    traces = [TraceRow(row, precision, rounds) for row, trace in TRACES.items() for precision, rounds in trace.items()]
    return {
        "traces": Table("Rounds of 100 at each precision: our reconstruction, not the paper's", traces),
        "table2": Table(f"Table II: {equal} of {len(rows)} values equal to the last printed digit", rows),
    }


def _costs(chip: Chip, layers: tuple[LayerShape, ...]) -> dict[str, np.ndarray]:
    """Energy, latency and area [3] of every row; HaLo-FL is the plain mean of its groups, as in the paper."""

    def mean(trace: Mapping[str, int]) -> np.ndarray:
        points = [Precision.parse(text) for text in trace]
        bits = Precision(*(jnp.array(field) for field in zip(*points, strict=True)))
        costs = np.array(chip.evaluate(layers, bits), np.float64)
        return costs @ np.array(list(trace.values())) / sum(trace.values())

    groups = {row: mean(trace) for row, trace in TRACES.items()}
    static = {text: mean({text: 1}) for text in ("8-8-8", "2-4-4")}
    return {**static, **groups, "HaLo-FL": np.mean(list(groups.values()), axis=0)}

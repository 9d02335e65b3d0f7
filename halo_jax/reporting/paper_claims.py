"""What the paper's Table II claims, held against runs: gains over 8-8-8, on any data set, with the paper's beside ours.

Absolute accuracies of other data, widths and rounds say little; changes against 8-8-8 of the same run can be compared.
Compute density is operations a second and area: the operations of a sample are the same in every row, so relative to
8-8-8 it is 1 / (latency ratio x area ratio). Paper, section IV: "since the total area remains constant, lower area
utilization translates to higher compute density in TOPS/mm2".
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

from halo_jax import paper
from halo_jax.records.run_folder import Run
from halo_jax.records.units import head_of
from halo_jax.reporting import arm_table
from halo_jax.reporting.arm_table import TableRow
from halo_jax.reporting.numbers import UNKNOWN
from halo_jax.reporting.terminal import Column, draw_table

BASE = "8-8-8"
METRICS = ("accuracy_points", "energy_percent", "latency_percent", "area_percent", "density_ratio")
CAPTION = (
    "Changes against 8-8-8, ours above the paper's ({dataset}), then the difference. TOPS/mm²: operations a second and "
    "area, relative to 8-8-8. The paper's headline on CIFAR10: 36 % less energy (E), 22 % less latency (L), 22 % less "
    "area (A)."
)


class Claim(NamedTuple):
    """One change against 8-8-8: the mean over seeds, its spread, and the same of the paper's Table II."""

    row: str  # of Table II: "HaLo-FL", "HaLo-FL-E", ...
    metric: str  # of METRICS; accuracy is top-5 on TinyImageNet, as in the paper
    paper: float
    ours: float
    spread: float | None  # standard deviation over seeds
    difference: float
    seeds: int


def claims(seeds: Sequence[Mapping[str, Run]], dataset: str) -> list[Claim]:
    """Compare the runs of each seed, arm -> records, with Table II of `dataset`, or the nearest that the paper has.

    Empty without an arm 8-8-8.
    """
    dataset = nearest(dataset)
    tables = [{_paper_row(row.arm): row for row in arm_table.table(runs)} for runs in seeds]
    rows = []
    for name in paper.TABLE2[dataset]:
        if name == BASE or not all(BASE in table and name in table for table in tables):
            continue
        printed = _changes(*(_printed(paper.TABLE2[dataset][row]) for row in (name, BASE)))
        ours = [_changes(*(_values(table[row], dataset) for row in (name, BASE))) for table in tables]
        for metric, theirs in printed.items():
            values = [changes[metric] for changes in ours if metric in changes]
            if len(values) < len(ours):
                continue
            mean = math.fsum(values) / len(values)
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            rows.append(Claim(name, metric, theirs, mean, spread, mean - theirs, len(values)))
    return rows


def nearest(dataset: str) -> str:
    """The data set of Table II most like `dataset`: itself, EMNIST for MNIST and Fashion-MNIST, else CIFAR10."""
    if dataset.partition("/")[0] in paper.TABLE2:
        return dataset.partition("/")[0]
    return "emnist" if dataset in ("mnist", "fashion_mnist") else "cifar10"


def render(table: Sequence[Claim], dataset: str) -> Table:
    """The claims for a terminal of 80 columns: a row for each of Table II."""
    caption = CAPTION.format(dataset=nearest(dataset))
    columns, rows = [Column("Row", is_number=False), *(Column(head_of(metric)) for metric in METRICS)], []
    for row in dict.fromkeys(claim.row for claim in table):
        cells = {claim.metric: _cell(claim) for claim in table if claim.row == row}
        rows.append([row, *(cells.get(metric, UNKNOWN) for metric in METRICS)])
    return draw_table(columns, rows, title="Against the paper's Table II", caption=caption, spaced=True)


def _paper_row(arm: str) -> str:
    """The row of Table II that an arm of ours stands beside, if there is one of that name."""
    return arm.removesuffix(f" {arm_table.MEAN_OF_GROUPS}")


def _printed(numbers: str) -> dict[str, float]:
    return dict(zip(("accuracy", "energy", "latency", "area"), map(float, numbers.split()), strict=True))


def _values(row: TableRow, dataset: str) -> dict[str, float | None]:
    accuracy = row.top5_accuracy_percent if dataset in paper.TOP5_SETS else row.accuracy_percent
    return {"accuracy": accuracy, "energy": row.energy_mj, "latency": row.latency_s, "area": row.area_mm2}


def _changes(row: Any, base: Any) -> dict[str, float]:
    """The changes of what both rows know; what costs nothing has no ratio."""
    both = {name for name in row if None not in (row[name], base[name])}
    changes = {}
    if "accuracy" in both:
        changes["accuracy_points"] = row["accuracy"] - base["accuracy"]
    for cost in ("energy", "latency", "area"):
        if cost in both and base[cost]:
            changes[f"{cost}_percent"] = 100 * (row[cost] / base[cost] - 1)
    if both >= {"latency", "area"} and row["latency"] * row["area"]:
        changes["density_ratio"] = base["latency"] * base["area"] / (row["latency"] * row["area"])
    return changes


def _cell(claim: Claim) -> str:
    spread = "" if claim.spread is None or claim.metric != "accuracy_points" else f" ± {claim.spread:.2f}"
    digits = 1 if claim.metric.endswith("percent") else 2
    sign = "" if claim.metric == "density_ratio" else "+"
    ours, theirs = (f"{round(value, digits) + 0.0:{sign}.{digits}f}" for value in (claim.ours, claim.paper))
    return f"{ours}{spread}\n({theirs})\n{round(claim.difference, digits) + 0.0:+.{digits}f}"

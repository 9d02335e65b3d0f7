"""Records -> a table shaped like the paper's Table II, for the terminal and as CSV; `html_page` makes it a page.

Runs come as a dict from arm to `run_folder.Run`, in the order of the table: "8-8-8" for a static arm, the name of
the selector for one that selects. Everything is computed from records, so it can be redone without training.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table
from rich.text import Text

from halo_jax.records import files
from halo_jax.records.columns import csv_text, known
from halo_jax.records.names import arm_label, is_of_one_precision
from halo_jax.records.run_folder import Run
from halo_jax.records.units import head_of
from halo_jax.reporting.numbers import shown
from halo_jax.reporting.terminal import Column, draw_table
from halo_jax.types import Constraint

GROUPS = (Constraint.ENERGY, Constraint.LATENCY, Constraint.AREA)
KILOBYTE_BITS = 8000
METRICS = {
    "energy_mj": 1,
    "latency_s": 1,
    "area_mm2": 1,
    "payload_up_bits": KILOBYTE_BITS,
    "payload_down_bits": KILOBYTE_BITS,
}
MEAN_OF_GROUPS = "(mean of groups)"  # behind the name of an arm: the paper's way to give one number for it
LEGEND = (
    "Accuracy of the final model. Energy, latency and area per training sample, payload per client and round "
    "(1 kB = 1000 bytes): means over rounds and clients. Changes are against the row that has none: the first "
    "arm of one precision, such as 8-8-8, else the first that does not select."
)


class TableRow(NamedTuple):
    """One row of the table: an arm, or a group of clients of an arm that selects.

    A change is against the first arm of one precision, else the first static one; None for that arm itself and where
    there is none.
    """

    arm: str
    accuracy_percent: float | None
    top5_accuracy_percent: float | None
    energy_mj: float | None
    latency_s: float | None
    area_mm2: float | None
    payload_up_kilobytes: float | None
    payload_down_kilobytes: float | None
    energy_change_percent: float | None = None
    latency_change_percent: float | None = None
    area_change_percent: float | None = None
    payload_up_change_percent: float | None = None
    payload_down_change_percent: float | None = None
    train_width: float | None = None  # the width at which the network was trained
    hardware_width: float | None = None  # and the one at which it was priced


SHOWN = TableRow._fields[1:8]  # in a table for a person, each with its change
HEADS = tuple(map(head_of, SHOWN))


class GroupRow(NamedTuple):
    """Clients of an arm that want the same: how well the final model serves them, and what they paid.

    An accuracy is that of a client's own mix of labels, by the model's accuracy on each class; None where it is not
    known. Costs are as in `TableRow`.
    """

    arm: str
    group: str
    clients: int  # of the cohorts, also those that were late or had no energy
    accuracy_percent: float | None  # mean over clients
    worst_accuracy_percent: float | None
    energy_mj: float | None
    latency_s: float | None
    area_mm2: float | None


class Cell(NamedTuple):
    """One number of the table as shown: its text, its change ("-36.2%" or ""), whether it is the best."""

    text: str
    change: str
    best: bool


def table(runs: Mapping[str, Run]) -> list[TableRow]:
    """Compute the rows; runs without a complete round have none.

    An arm that selects gives the plain mean of its groups (the paper's way), the mean of all its clients, and
    a row for each group of clients that want low energy, latency or area.
    """
    runs = {arm: run for arm, run in runs.items() if run.rounds["round"].size}
    static = [arm for arm, run in runs.items() if not run.selects]
    base = runs.get(next(filter(is_of_one_precision, static), next(iter(static), "")))
    rows = []
    for arm, run in runs.items():
        top1, top5 = _last_percent(run, "accuracy"), _last_percent(run, "top5_accuracy")
        for label, costs in _costs_of_arm(arm_label(arm), run).items():
            against = base if base is not run and base is not None and _setting(base) == _setting(run) else None
            changes = [] if against is None else _change_percent(costs, _costs(against))
            row = TableRow(label, top1, top5, *map(known, costs.tolist()), *changes)
            widths = {"train_width": run.config["width"], "hardware_width": run.config["hardware"]["width"]}
            rows.append(row._replace(**widths))
    return rows


def _setting(run: Run) -> list[Any]:
    """What two runs have in common whose costs can be held against each other."""
    return [run.config[name] for name in ("dataset", "model", "image_shape", "hardware")]


def groups(runs: Mapping[str, Run]) -> list[GroupRow]:
    """A row for each group of clients of each arm that selects, in the order of the table."""
    found = []
    for arm, run in runs.items():
        wants = run.clients["constraint"]
        for group in [group.name.lower() for group in (*GROUPS, Constraint.NONE)]:
            mask = wants == group
            if not run.selects or not mask.any():
                continue
            members = np.unique(run.clients["client"][mask]).tolist()
            accuracies, costs = _accuracies(run, members), map(known, _costs(run, mask)[:3].tolist())
            mean, worst = (math.fsum(accuracies) / len(accuracies), min(accuracies)) if accuracies else (None, None)
            found.append(GroupRow(arm_label(arm), group, len(members), mean, worst, *costs))
    return found


def cells(rows: Sequence[TableRow]) -> list[tuple[Cell, ...]]:
    """What is shown of each row, one cell a head; a column keeps three digits of its smallest number."""
    columns = []
    for name in SHOWN:
        is_accuracy = name.endswith("accuracy_percent")  # which has no change
        values = [getattr(row, name) for row in rows]
        changes = [None if is_accuracy else getattr(row, _change_of(name)) for row in rows]
        present = [value for value in values if value is not None]
        best = (max if is_accuracy else min)(present) if len(set(present)) > 1 else None
        small = min((value for value in present if value > 0), default=1)
        digits = 2 if is_accuracy else min(max(2 - math.floor(math.log10(small)), 0), 9)
        texts = [shown(value, f".{digits}f") for value in values]
        bests = [value == best and value is not None for value in values]
        columns.append(map(Cell, texts, map(_change_text, changes), bests))
    return list(zip(*columns, strict=True))


def _change_of(name: str) -> str:
    """The field of the change of one: `energy_change_percent` of `energy_mj`."""
    return f"{name.rpartition('_')[0]}_change_percent"


def _change_text(percent: float | None) -> str:
    return "" if percent is None else f"{percent:+.1f}%" if abs(percent) >= 0.05 else "0.0%"


def render_rich(rows: Sequence[TableRow]) -> Table:
    """The rows for a terminal of 80 columns or more; a change stands under its value."""
    widths = sorted({(row.train_width, row.hardware_width) for row in rows if row.train_width is not None})
    title = "; ".join(f"trained at width {train:g}, priced at width {priced:g}" for train, priced in widths)
    drawn = [[row.arm, *map(_rich_cell, row_cells)] for row, row_cells in zip(rows, cells(rows), strict=True)]
    return draw_table([Column("Arm", False), *map(Column, HEADS)], drawn, title=title, caption=LEGEND, spaced=True)


def write_csv(rows: Sequence[TableRow], path: str | Path) -> None:
    """Write the rows, unrounded. Raises RecordError."""
    files.write(path, csv_text([TableRow._fields, *rows]))


def _rich_cell(cell: Cell) -> Text:
    change = f"\n{cell.change}" if cell.change else ""
    return Text.assemble((cell.text, "bold" if cell.best else ""), (change, "dim"))


def _costs(run: Run, chosen: Any = slice(None)) -> np.ndarray:
    """Means of `METRICS` over the chosen rows of the clients' table: [5]."""
    return np.array([run.clients[name][chosen].mean() / unit for name, unit in METRICS.items()])


def _costs_of_arm(name: str, run: Run) -> dict[str, np.ndarray]:
    if not run.selects:
        return {name: _costs(run)}
    wants = run.clients["constraint"]
    masks = {f"{name}-{group.name[0]}": wants == group.name.lower() for group in GROUPS}
    groups = {label: _costs(run, mask) for label, mask in masks.items() if mask.any()}
    means = {f"{name} {MEAN_OF_GROUPS}": np.mean(list(groups.values()), axis=0)} if groups else {}
    return {**means, f"{name} (mean of clients)": _costs(run), **groups}


def _change_percent(costs: np.ndarray, base: np.ndarray) -> list[float | None]:
    pairs = zip(costs.tolist(), base.tolist(), strict=True)
    return [known(100 * (cost / reference - 1)) if reference else None for cost, reference in pairs]


def _last_percent(run: Run, name: str) -> float | None:
    evaluated = run.rounds[name][np.isfinite(run.rounds[name])]
    return 100 * float(evaluated[-1]) if evaluated.size else None


def _accuracies(run: Run, clients: Sequence[int]) -> list[float]:
    every = run.summary.get("client_accuracy") or []
    return [100 * every[client] for client in clients if client < len(every) and every[client] is not None]

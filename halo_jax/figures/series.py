"""What figures draw, from records and from the tables of studies and comparisons: numbers and names, no drawing."""

import itertools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from halo_jax.records.names import arm_label, is_of_one_precision, without_seed
from halo_jax.records.run_folder import Run

Config = Mapping[str, Any]  # as in config.json
Tables = Mapping[str, Mapping[str, np.ndarray]]  # of a study: table -> column -> one entry a row

GROUPS = ("energy", "latency", "area")
MOST_ROWS = 16  # of panels, one for each arm


class AccuracyCurve(NamedTuple):
    """Test accuracy of an arm in the rounds in which each of its runs was evaluated, `[R]` all three; R may be 0."""

    position: np.ndarray  # on the x axis: a mean over runs
    mean_percent: np.ndarray
    spread_percent: np.ndarray  # one standard deviation over runs; 0 of one run


def runs_by_arm(
    runs: Mapping[str, Run], position: Callable[[Run], np.ndarray], over_seeds: bool
) -> dict[str, list[Run]]:
    """The runs of each line of a figure of accuracy; what was not evaluated, or has no known position, is left out.

    Args:
      runs: by their names, such as "qsgd", or "seed_0/qsgd".
      position: where each round of a run stands on the x axis, `[R]`.
      over_seeds: whether runs that differ in nothing but the seed are one line.
    """
    arms: dict[str, list[Run]] = {}
    for name, run in runs.items():
        if np.isfinite(run.rounds["accuracy"]).any() and np.isfinite(position(run)).all():
            arms.setdefault(without_seed(name) if over_seeds else name, []).append(run)
    return arms


def accuracy_curve(runs: Sequence[Run], position: Callable[[Run], np.ndarray]) -> AccuracyCurve:
    """The mean of runs of one arm, of both coordinates; `position` gives the x of each round of a run."""
    rounds = min(len(run.rounds["round"]) for run in runs)
    percent = 100 * np.stack([run.rounds["accuracy"][:rounds] for run in runs])
    evaluated = np.isfinite(percent).all(0)
    at, percent = np.stack([position(run)[:rounds] for run in runs]).mean(0)[evaluated], percent[:, evaluated]
    return AccuracyCurve(at, percent.mean(0), percent.std(0, ddof=1 if len(runs) > 1 else 0))


def selecting(runs: Mapping[str, Run]) -> tuple[dict[str, Run], str]:
    """The arms whose clients choose their precision and belong to groups, and what a caption says of any left out.

    A figure with a row for each of hundreds is too tall to be looked at, or to be drawn at all.
    """
    selectors = {arm: run for arm, run in runs.items() if run.selects and groups_of(run)}
    note = f" The first {MOST_ROWS} of {len(selectors)} arms." if len(selectors) > MOST_ROWS else ""
    return dict(itertools.islice(selectors.items(), MOST_ROWS)), note


def groups_of(run: Run) -> list[str]:
    """The groups of clients that took part, in the paper's order."""
    return [group for group in GROUPS if group in run.clients["constraint"]]


def selection(config: Config, tables: Tables) -> dict[str, Run]:
    """The table `clients` of a study as the records of one arm that trains nothing; empty without it."""
    clients = dict(tables.get("clients", {}))
    if not clients:
        return {}
    clients |= {name: clients[name].astype(np.int64) for name in ("round", "client")}
    return {config["selector"]["name"]: Run(dict(config), {"round": np.unique(clients["round"])}, clients, {})}


def swept(rows: Mapping[str, np.ndarray]) -> list[str]:
    """The swept fields in the table `comparison`: the columns before the arm."""
    names = list(rows)
    return names[: names.index("arm")]


def of_points(config: Config, rows: Mapping[str, np.ndarray]) -> list[Config]:
    """The config of each row's point: the experiment's, with the values of the swept fields."""
    configs = []
    for values in zip(*(rows[field] for field in swept(rows)), strict=True):
        of_point = {name: dict(value) if isinstance(value, Mapping) else value for name, value in config.items()}
        for field, value in zip(swept(rows), values, strict=True):
            section, _, leaf = field.rpartition(".")
            (of_point[section] if section else of_point)[leaf] = value
        configs.append(of_point)
    return configs or [config]


def row_names(rows: Mapping[str, np.ndarray]) -> list[str]:
    """What to call each row of the table `comparison`: its arm, after the values of the swept fields.

    A static arm is its precision alone where that tells it apart.
    """
    arms = texts(rows["arm"])
    short = [arm.partition(" (")[0] if is_of_one_precision(arm) else arm for arm in arms]
    arms = short if len(set(short)) == len(set(arms)) else arms
    values = [[f"{field}={value}" for value in texts(rows[field])] for field in swept(rows)]
    return [": ".join(filter(None, (", ".join(point), arm))) for *point, arm in zip(*values, arms, strict=True)]


def texts(column: np.ndarray) -> list[str]:
    """A column as texts, also where its cells were read as numbers, or are all empty."""
    if column.dtype.kind != "f":
        return column.tolist()
    return ["" if np.isnan(cell) else f"{cell:g}" for cell in column]


def arm_name(arm: str, letters: int = 200) -> str:
    """What a legend or a title calls an arm, in lines of so many letters."""
    return textwrap.fill(arm_label(arm), letters)


def setting(configs: Sequence[Config]) -> str:
    """What stands below a title: the data sets, and the widths at which networks were trained and priced.

    Of a study it names the chip. Nothing without configs.
    """
    if not configs:
        return ""
    facts = [(config["dataset"], config["width"], config["hardware"]["width"]) for config in configs]
    names, trained, priced = (" / ".join(dict.fromkeys(map(_text, column))) for column in zip(*facts, strict=True))
    if not configs[0].get("study"):
        return f"{names}, trained at width {trained}, priced at width {priced}"
    hardware = configs[0]["hardware"]
    chip = f"{hardware['name']} {Path(hardware['device']).name}"
    return f"{configs[0]['model']} for {names}, priced at width {priced} on {chip}; nothing trained"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"

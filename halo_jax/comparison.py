"""Runs of several seeds -> one row for each arm: accuracy, payload and energy of the whole training, mean and spread.

The table is shaped like the paper's Table IV, but every row was measured on the same data, clients and rounds.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from halo_jax.record import Run
from halo_jax.types import arm_label

MEGABYTE_BITS = 8_000_000
# Paper: Table IV, accuracy in percent on CIFAR10 and MB a round. Quoted there from other papers: other networks, other
# numbers of clients, other meanings of a round.
PAPER: dict[str, tuple[float, float | None]] = {
    "qa_fl": (74.90, None),
    "uveqfed": (76.0, None),
    "terngrad": (82.80, 6.0),
    "lfl": (85.0, None),
    "fedhq": (86.0, None),
    "adaquantfl": (69.12, None),
    "laq": (87.96, 0.65),
    "hsq": (93.77, 0.67),
    "jopeq": (71.0, None),
    "fl_pqsu": (90.9, 3.17),
    "halo_ps": (80.14, 1.52),
}


class Row(NamedTuple):
    """One arm over all seeds: means, and where a name says `spread` the standard deviation (of one seed: none).

    Payloads are as packed unless their name says otherwise, 1 MB = 10^6 bytes. Energy is that of all training samples
    of all clients, by the cost model; float32 training is priced as if it had the bits `priced_at`.
    """

    arm: str
    quantised_training: str  # the paper's QT: clients train in low precision
    own_bits: str  # the paper's HQ: clients have different bits
    seeds: int
    accuracy_percent: float
    accuracy_spread_percent: float | None
    up_megabytes: float  # per client and round
    up_nominal_megabytes: float
    up_entropy_megabytes: float
    down_megabytes: float
    up_total_megabytes: float  # of all clients and rounds
    total_megabytes: float  # of all clients and rounds, up and down
    target_megabytes: float | None  # the same up to the first round that reaches the target, if every seed does
    uploads_percent: float
    energy_joule: float
    priced_at: str  # the bits at which float32 training is priced; empty where clients train at those of their records
    paper_accuracy_percent: float | None
    paper_megabytes: float | None


def rows(runs: Mapping[str, Run], target_percent: float = 0) -> list[Row]:
    """A row for each arm; `runs` maps "seed_0/terngrad" to records of finished runs."""
    arms: dict[str, list[Run]] = {}
    for name, run in runs.items():
        arms.setdefault(name.partition("/")[2], []).append(run)
    return [_row(arm, found, target_percent) for arm, found in arms.items()]


def _row(arm: str, runs: Sequence[Run], target_percent: float) -> Row:
    mean = lambda measure: math.fsum(map(measure, runs)) / len(runs)  # noqa: E731
    each = lambda name: mean(lambda run: run.clients[name].mean() / MEGABYTE_BITS)  # noqa: E731
    accuracies = [100 * float(run.rounds["accuracy"][-1]) for run in runs]
    targets = [_to_target(run, target_percent) for run in runs]
    config, name = runs[0].config, arm.partition(":")[0]
    quantised = config["recipe"]["name"] != "float32"
    bits = [run.clients[f"{part}_bits"] for run in runs for part in ("weights", "activations", "errors")]
    return Row(
        arm=arm_label(arm),
        quantised_training="yes" if quantised else "",
        own_bits="yes" if any(len(np.unique(column)) > 1 for column in bits) or _deals_bits(config) else "",
        seeds=len(runs),
        accuracy_percent=mean(lambda run: 100 * float(run.rounds["accuracy"][-1])),
        accuracy_spread_percent=float(np.std(accuracies, ddof=1)) if len(runs) > 1 else None,
        up_megabytes=each("payload_up_bits"),
        up_nominal_megabytes=each("payload_up_nominal_bits"),
        up_entropy_megabytes=each("payload_up_entropy_bits"),
        down_megabytes=each("payload_down_bits"),
        up_total_megabytes=mean(lambda run: int(run.rounds["payload_up_bits"].sum()) / MEGABYTE_BITS),
        total_megabytes=mean(lambda run: int(_both_ways(run).sum()) / MEGABYTE_BITS),
        target_megabytes=None if None in targets else math.fsum(filter(None, targets)) / len(targets),
        uploads_percent=mean(lambda run: 100 * run.clients["uploads"].mean()),
        energy_joule=mean(_energy_joule),
        priced_at="" if quantised else config["selector"]["start"],
        paper_accuracy_percent=PAPER.get(name, (None, None))[0],
        paper_megabytes=PAPER.get(name, (None, None))[1],
    )


def _deals_bits(config: Mapping[str, Any]) -> bool:
    compressor = config["compressor"]
    return compressor["name"].startswith("fedhq") and len(set(compressor["client_bits"])) != 1


def _both_ways(run: Run) -> np.ndarray:
    return run.rounds["payload_up_bits"] + run.rounds["payload_down_bits"]


def _to_target(run: Run, target_percent: float) -> float | None:
    """MB of all clients up to the end of the first round that reaches the target."""
    reached = np.flatnonzero(100 * run.rounds["accuracy"] >= target_percent)
    if not target_percent or not reached.size:
        return None
    return int(_both_ways(run)[: reached[0] + 1].sum()) / MEGABYTE_BITS


def _energy_joule(run: Run) -> float:
    samples = run.clients["examples"] * run.config["local_epochs"]
    return math.fsum(run.clients["energy_mj"] * samples) / 1000


_COLUMNS: dict[str, Callable[[Row], str]] = {
    "Arm": lambda row: row.arm,
    "QT\nHQ": lambda row: f"{row.quantised_training or '-'}\n{row.own_bits or '-'}",
    "Top-1\n%": lambda row: f"{row.accuracy_percent:.2f}{_spread(row.accuracy_spread_percent)}",
    "Up kB\nDown": lambda row: f"{1000 * row.up_megabytes:.4g}\n{1000 * row.down_megabytes:.4g}",
    "Total MB\nto target": lambda row: f"{row.total_megabytes:.4g}\n{_number(row.target_megabytes)}",
    "Energy\nJ": lambda row: f"{row.energy_joule:.4g}" + (row.priced_at and f"\n({row.priced_at})"),
    "Paper %\nMB": lambda row: f"{_number(row.paper_accuracy_percent)}\n{_number(row.paper_megabytes)}",
}


CAPTION = (
    "QT: clients train in low precision. HQ: clients have bits of their own. Up and down: packed, per client and "
    "round. Total: all clients, rounds and ways, to the end and to the target accuracy; 1 MB = 10^6 bytes. Energy: all "
    "training samples, by the cost model; float32 training as if it had the bits in brackets. Paper: Table IV quotes "
    "other networks, client counts and meanings of a round."
)


def render(table: Sequence[Row], target_percent: float = 0) -> Table:
    """The rows for a terminal of 80 columns."""
    caption = CAPTION + (f" The target is {target_percent:g} %." if target_percent else "")
    drawn = Table(caption=caption, caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_lines=True)
    for head in _COLUMNS:
        text: Any = {"overflow": "fold"} if head == "Arm" else {"justify": "right", "no_wrap": True}
        drawn.add_column(head, **text)
    for row in table:
        drawn.add_row(*(Text(show(row)) for show in _COLUMNS.values()))
    return drawn


def _spread(value: float | None) -> str:
    return "" if value is None else f"\n± {value:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

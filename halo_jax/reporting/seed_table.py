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

from halo_jax.paper import NOTES, printed
from halo_jax.records.names import arm_label, without_seed
from halo_jax.records.run_folder import Run
from halo_jax.types import Cost

MEGABYTE_BITS = 8_000_000


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
    change_points: float | None  # in accuracy from the first arm, seed by seed: seeds differ more than arms do
    change_spread_points: float | None
    worst_client_accuracy_percent: float | None  # of the lowest client, by its own mix of labels
    top5_accuracy_percent: float
    up_megabytes: float  # per client and round
    up_nominal_megabytes: float
    up_entropy_megabytes: float
    down_megabytes: float
    up_total_megabytes: float  # of all clients and rounds
    total_megabytes: float  # of all clients and rounds, up and down
    target_megabytes: float | None  # the same up to the first round that reaches the target, if every seed does
    target_seconds: float | None  # and the virtual time until then
    target_joule: float | None  # and the energy
    uploads_percent: float
    energy_joule: float
    virtual_seconds: float  # of all rounds: latency per sample x samples of each round's slowest client, plus links
    energy_mj: float  # of a training sample: the mean over clients and rounds, and the next two likewise
    latency_s: float
    area_mm2: float
    priced_at: str  # the bits at which float32 training is priced; empty where clients train at those of their records
    paper_accuracy_percent: float | None
    paper_difference_points: float | None  # our accuracy less the paper's; top-5 where the paper's is
    paper_megabytes: float | None


def rows(runs: Mapping[str, Run], target_percent: float = 0, paper: str = "") -> list[Row]:
    """A row for each arm; `runs` maps folders, such as "seed_0/terngrad", to records of finished runs."""
    arms: dict[str, dict[str, Run]] = {}  # arm -> seed -> run
    for name, run in runs.items():
        arm = without_seed(name)
        arms.setdefault(arm, {})[name.removesuffix(arm)] = run
    first = next(iter(arms), "")
    return [
        _row(arm, list(seeds.values()), [] if arm == first else _changes(seeds, arms[first]), target_percent, paper)
        for arm, seeds in arms.items()
    ]


def _changes(seeds: Mapping[str, Run], base: Mapping[str, Run]) -> list[float]:
    return [_final_percent(run) - _final_percent(base[seed]) for seed, run in seeds.items() if seed in base]


def _row(arm: str, runs: Sequence[Run], changes: Sequence[float], target_percent: float, table: str) -> Row:
    mean = lambda measure: math.fsum(map(measure, runs)) / len(runs)  # noqa: E731
    each = lambda name: mean(lambda run: run.clients[name].mean() / MEGABYTE_BITS)  # noqa: E731
    cost = lambda name: mean(lambda run: math.fsum(run.clients[name]) / len(run.clients[name]))  # noqa: E731
    last = lambda name: mean(lambda run: _final_percent(run, name))  # noqa: E731
    top1, top5 = last("accuracy"), last("top5_accuracy")
    to_target = lambda each: _to_target(runs, target_percent, each)  # noqa: E731
    worst = [_worst_client_percent(run) for run in runs]
    config = runs[0].config
    paper = printed(table, arm, config)
    known = paper.accuracy_percent
    quantised = config["recipe"]["name"] != "float32"
    bits = [run.clients[f"{part}_bits"] for run in runs for part in ("weights", "activations", "errors")]
    return Row(
        arm=arm_label(arm),
        quantised_training="yes" if quantised else "",
        own_bits="yes" if any(len(np.unique(column)) > 1 for column in bits) or _deals_bits(config) else "",
        seeds=len(runs),
        accuracy_percent=top1,
        accuracy_spread_percent=_deviation([_final_percent(run) for run in runs]),
        change_points=math.fsum(changes) / len(changes) if changes else None,
        change_spread_points=_deviation(changes),
        worst_client_accuracy_percent=None if None in worst else math.fsum(filter(None, worst)) / len(worst),
        top5_accuracy_percent=top5,
        up_megabytes=each("payload_up_bits"),
        up_nominal_megabytes=each("payload_up_nominal_bits"),
        up_entropy_megabytes=each("payload_up_entropy_bits"),
        down_megabytes=each("payload_down_bits"),
        up_total_megabytes=mean(lambda run: sum(run.rounds["payload_up_bits"].tolist()) / MEGABYTE_BITS),
        total_megabytes=mean(lambda run: sum(_both_ways(run).tolist()) / MEGABYTE_BITS),
        target_megabytes=to_target(lambda run: _both_ways(run) / MEGABYTE_BITS),
        target_seconds=to_target(lambda run: run.rounds["virtual_seconds"]),
        target_joule=to_target(lambda run: run.rounds["energy_joule"]),
        uploads_percent=mean(lambda run: 100 * run.clients["uploads"].mean()),
        energy_joule=mean(lambda run: math.fsum(run.rounds["energy_joule"])),
        virtual_seconds=mean(lambda run: math.fsum(run.rounds["virtual_seconds"])),
        **{name: cost(name) for name in Cost._fields},
        priced_at="" if quantised else config["selector"]["start"],
        paper_accuracy_percent=known,
        paper_difference_points=None if known is None else (top5 if paper.top5 else top1) - known,
        paper_megabytes=paper.megabytes,
    )


def _final_percent(run: Run, name: str = "accuracy") -> float:
    return 100 * float(run.rounds[name][-1])


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _deals_bits(config: Mapping[str, Any]) -> bool:
    compressor = config["compressor"]
    return compressor["name"].startswith("fedhq") and len(set(compressor["client_bits"])) != 1


def _both_ways(run: Run) -> np.ndarray:
    return run.rounds["payload_up_bits"] + run.rounds["payload_down_bits"]


def _to_target(runs: Sequence[Run], target_percent: float, each: Callable[[Run], np.ndarray]) -> float | None:
    """The sum of what `each` gives a round up to the first that reaches the target; the mean over runs, if all do."""
    reached = [np.flatnonzero(100 * run.rounds["accuracy"] >= target_percent) for run in runs]
    if not target_percent or not all(rounds.size for rounds in reached):
        return None
    sums = [math.fsum(each(run)[: rounds[0] + 1]) for run, rounds in zip(runs, reached, strict=True)]
    return math.fsum(sums) / len(sums)


def _worst_client_percent(run: Run) -> float | None:
    known = [accuracy for accuracy in run.summary.get("client_accuracy") or [] if accuracy is not None]
    return 100 * min(known) if known else None


_COLUMNS: dict[str, Callable[[Row], Sequence[str]]] = {  # head -> the lines of a row
    "Arm": lambda row: (row.arm, *filter(None, (_kind(row), row.priced_at and f"({row.priced_at})"))),
    "Top-1 %\nchange\nTop-5": lambda row: (
        f"{row.accuracy_percent:.2f}{_spread(row.accuracy_spread_percent)}",
        "-" if row.change_points is None else f"{row.change_points:+.2f}{_spread(row.change_spread_points)}",
        f"{row.top5_accuracy_percent:.2f}",
    ),
    "Up kB\nDown": lambda row: (f"{1000 * row.up_megabytes:.4g}", f"{1000 * row.down_megabytes:.4g}"),
    "MB\nJ\ns": lambda row: [
        f"{all_of:.4g}" for all_of in (row.total_megabytes, row.energy_joule, row.virtual_seconds)
    ],
    "to\ngoal": lambda row: [_number(part) for part in (row.target_megabytes, row.target_joule, row.target_seconds)],
    "mJ\ns\nmm²": lambda row: (f"{row.energy_mj:.3g}", f"{row.latency_s:.3g}", f"{row.area_mm2:.4g}"),
}
_PAPER = "Paper %\nours -"


def caption(target_percent: float = 0, paper: str = "") -> str:
    """What the columns mean; `paper` names the paper's table that stands beside the rows."""
    goal = f"the goal of {target_percent:g} %" if target_percent else "a goal (evaluation.target_percent)"
    return (
        "Change: in points of top-1 from the first arm, seed by seed. QT: clients train in low precision. HQ: clients "
        "have bits of their own. Up and down: packed, per client and round. MB, J and s: all clients, rounds and ways, "
        f"to the end and to {goal}; 1 MB = 10^6 bytes; J by the cost model, float32 training as if it had the bits in "
        "brackets; s by the virtual clock. mJ, s, mm²: energy, latency and area of one sample. "
        f"{NOTES.get(paper, '')}"
    ).strip()


def render(table: Sequence[Row], caption: str) -> Table:
    """The rows for a terminal of 80 columns."""
    drawn = Table(caption=caption, caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_lines=True)
    columns = dict(_COLUMNS)
    if any(row.paper_accuracy_percent is not None for row in table):
        columns[_PAPER] = _paper
    for head in columns:
        text: Any = {"overflow": "fold"} if head == "Arm" else {"justify": "right", "no_wrap": True}
        drawn.add_column(head, **text)
    for row in table:
        drawn.add_row(*(Text("\n".join(lines(row))) for lines in columns.values()))
    return drawn


def _kind(row: Row) -> str:
    return ", ".join(name for name, holds in (("QT", row.quantised_training), ("HQ", row.own_bits)) if holds)


def _paper(row: Row) -> Sequence[str]:
    if row.paper_accuracy_percent is None or row.paper_difference_points is None:
        return ("-",)
    megabytes = () if row.paper_megabytes is None else (f"{row.paper_megabytes:g} MB",)
    return f"{row.paper_accuracy_percent:.2f}", f"{row.paper_difference_points:+.2f}", *megabytes


def _spread(value: float | None) -> str:
    return "" if value is None else f" ± {value:.{1 if value >= 10 else 2}f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"

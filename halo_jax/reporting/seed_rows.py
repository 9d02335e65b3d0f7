"""Runs of several seeds -> one row for each arm: accuracy, payload and energy of the whole training, mean and spread.

The table is shaped like the paper's Table IV, but every row was measured on the same data, clients and rounds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from halo_jax.paper import printed
from halo_jax.records.columns import number_or_none
from halo_jax.records.names import arm_label, without_seed
from halo_jax.records.run_folder import Run
from halo_jax.types import Cost, Precision

MEGABYTE_BITS = 8_000_000


class SeedRow(NamedTuple):
    """One row of `comparison.csv`: an arm over all seeds. Means, and where a name says `spread` a standard deviation.

    Payloads are as packed unless their name says otherwise, 1 MB = 10^6 bytes. Energy is that of all training samples
    of all clients, by the cost model. None is what is not known: the spread of one seed, a target that not every seed
    reaches, what a run has not recorded.
    """

    arm: str  # as in tables and figures, with the fields that are its own
    quantised_training: str  # "yes" where clients train in low precision: the paper's QT
    own_bits: str  # "yes" where clients have different bits: the paper's HQ
    seeds: int  # runs in the mean
    accuracy_percent: float | None  # top-1 of the last model
    accuracy_spread_percent: float | None  # over seeds
    change_points: float | None  # in accuracy from the first arm, seed by seed: seeds differ more than arms do
    change_spread_points: float | None  # over seeds
    worst_client_accuracy_percent: float | None  # of the lowest client, by its own mix of labels
    top5_accuracy_percent: float | None  # of the last model
    up_megabytes: float | None  # per client and round, as packed
    up_nominal_megabytes: float | None  # the same by the formula of the compressor's paper
    up_entropy_megabytes: float | None  # the same by an ideal coder
    down_megabytes: float | None  # per client and round, as packed
    up_total_megabytes: float | None  # of all clients and rounds
    total_megabytes: float | None  # of all clients and rounds, up and down
    target_megabytes: float | None  # the same up to the first round that reaches the target
    target_seconds: float | None  # virtual time until then
    target_joule: float | None  # energy until then
    uploads_percent: float | None  # of the clients of a round, those whose message travelled
    energy_joule: float | None  # of the whole training
    virtual_seconds: float | None  # of all rounds: latency x samples of each round's slowest client, plus links
    energy_mj: float | None  # of a training sample: the mean over clients and rounds
    latency_s: float | None  # likewise
    area_mm2: float | None  # likewise
    priced_at: str  # the bits at which float32 training is priced; empty where clients train at those of their records
    paper_accuracy_percent: float | None  # top-5 where the paper's is
    paper_difference_points: float | None  # our accuracy less the paper's
    paper_megabytes: float | None  # a round


def rows(runs: Mapping[str, Run], target_percent: float = 0, paper: str = "") -> list[SeedRow]:
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


def _row(arm: str, runs: Sequence[Run], changes: Sequence[float], target_percent: float, table: str) -> SeedRow:
    config, facts = runs[0].config, runs[0].facts
    means = _means([_measure(run, target_percent) for run in runs])
    paper = printed(table, arm, config)
    printed_percent: Any = paper.accuracy_percent
    ours = means["top5_accuracy_percent" if paper.top5 else "accuracy_percent"]
    return SeedRow(
        arm=arm_label(arm),
        quantised_training="yes" if facts.low_precision else "",
        own_bits="yes" if facts.client_bits or any(map(_bits_differ, runs)) else "",
        seeds=len(runs),
        accuracy_spread_percent=_deviation([_final_percent(run) for run in runs]),
        change_points=number_or_none(math.fsum(changes) / len(changes)) if changes else None,
        change_spread_points=_deviation(changes),
        priced_at="" if facts.low_precision else config["selector"]["start"],
        paper_accuracy_percent=printed_percent,
        paper_difference_points=None if None in (ours, printed_percent) else ours - printed_percent,
        paper_megabytes=paper.megabytes,
        **means,
    )


def _measure(run: Run, target_percent: float) -> dict[str, float | None]:
    """What one run gives for the columns of `SeedRow` that are means over seeds."""
    clients, rounds = run.clients, run.rounds
    both_ways = rounds["payload_up_bits"] + rounds["payload_down_bits"]
    reached = np.flatnonzero(100 * rounds["accuracy"] >= target_percent) if target_percent else np.empty(0, int)
    until = slice(reached[0] + 1) if reached.size else None  # the rounds up to the first that reaches the target
    return {
        "accuracy_percent": _final_percent(run),
        "top5_accuracy_percent": _final_percent(run, "top5_accuracy"),
        "worst_client_accuracy_percent": _worst_client_percent(run),
        "up_megabytes": clients["payload_up_bits"].mean() / MEGABYTE_BITS,
        "up_nominal_megabytes": clients["payload_up_nominal_bits"].mean() / MEGABYTE_BITS,
        "up_entropy_megabytes": clients["payload_up_entropy_bits"].mean() / MEGABYTE_BITS,
        "down_megabytes": clients["payload_down_bits"].mean() / MEGABYTE_BITS,
        "up_total_megabytes": sum(rounds["payload_up_bits"].tolist()) / MEGABYTE_BITS,
        "total_megabytes": sum(both_ways.tolist()) / MEGABYTE_BITS,
        "target_megabytes": math.fsum(both_ways[until] / MEGABYTE_BITS) if until else None,
        "target_seconds": math.fsum(rounds["virtual_seconds"][until]) if until else None,
        "target_joule": math.fsum(rounds["energy_joule"][until]) if until else None,
        "uploads_percent": 100 * clients["uploads"].mean(),
        "energy_joule": math.fsum(rounds["energy_joule"]),
        "virtual_seconds": math.fsum(rounds["virtual_seconds"]),
        **{metric: math.fsum(clients[metric]) / len(clients[metric]) for metric in Cost._fields},
    }


def _means(measured: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    """The mean of each measure over runs; None where a run has none, or it is not known."""
    columns = {name: [measures[name] for measures in measured] for name in measured[0]}
    return {
        name: None if None in column else number_or_none(math.fsum(filter(None, column)) / len(column))
        for name, column in columns.items()
    }


def _final_percent(run: Run, name: str = "accuracy") -> float:
    return 100 * float(run.rounds[name][-1])


def _deviation(values: Sequence[float]) -> float | None:
    return number_or_none(float(np.std(values, ddof=1))) if len(values) > 1 else None


def _bits_differ(run: Run) -> bool:
    """Whether clients, or the rounds of one, have different bits."""
    return any(len(np.unique(run.clients[f"{dimension}_bits"])) > 1 for dimension in Precision._fields)


def _worst_client_percent(run: Run) -> float | None:
    accuracies = [accuracy for accuracy in run.summary.get("client_accuracy") or [] if accuracy is not None]
    return 100 * min(accuracies) if accuracies else None

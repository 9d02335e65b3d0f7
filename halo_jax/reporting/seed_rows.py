"""Runs of several seeds -> one row for each arm: accuracy, payload and energy of the whole training, mean and spread.

The table is shaped like the paper's Table IV, but every row was measured on the same data, clients and rounds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from halo_jax.paper import printed
from halo_jax.records.names import arm_label, without_seed
from halo_jax.records.run_folder import Run
from halo_jax.types import Cost, Precision

MEGABYTE_BITS = 8_000_000


class SeedRow(NamedTuple):
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
    config = runs[0].config
    quantised = config["recipe"]["name"] != "float32"
    means = _means([_measure(run, target_percent) for run in runs])
    paper = printed(table, arm, config)
    ours = means["top5_accuracy_percent" if paper.top5 else "accuracy_percent"]
    return SeedRow(
        arm=arm_label(arm),
        quantised_training="yes" if quantised else "",
        own_bits="yes" if any(map(_bits_differ, runs)) or _deals_bits(config) else "",
        seeds=len(runs),
        accuracy_spread_percent=_deviation([_final_percent(run) for run in runs]),
        change_points=math.fsum(changes) / len(changes) if changes else None,
        change_spread_points=_deviation(changes),
        priced_at="" if quantised else config["selector"]["start"],
        paper_accuracy_percent=paper.accuracy_percent,
        paper_difference_points=None if paper.accuracy_percent is None else ours - paper.accuracy_percent,
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
    """The mean of each measure over runs; None where a run has none."""
    columns = {name: [measures[name] for measures in measured] for name in measured[0]}
    return {name: None if None in own else math.fsum(filter(None, own)) / len(own) for name, own in columns.items()}


def _final_percent(run: Run, name: str = "accuracy") -> float:
    return 100 * float(run.rounds[name][-1])


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _bits_differ(run: Run) -> bool:
    """Whether clients, or the rounds of one, have different bits."""
    return any(len(np.unique(run.clients[f"{dimension}_bits"])) > 1 for dimension in Precision._fields)


def _deals_bits(config: Mapping[str, Any]) -> bool:
    compressor = config["compressor"]
    return compressor["name"].startswith("fedhq") and len(set(compressor["client_bits"])) != 1


def _worst_client_percent(run: Run) -> float | None:
    known = [accuracy for accuracy in run.summary.get("client_accuracy") or [] if accuracy is not None]
    return 100 * min(known) if known else None

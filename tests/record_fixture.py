"""Invented run folders of a plausible shape: 20 clients in groups of 7, 7 and 6, priced like EMNIST."""

from pathlib import Path

import numpy as np

from halo_jax import config
from halo_jax.records import files, label_counts, run_folder
from halo_jax.records.columns import csv_text
from halo_jax.records.rows import ClientRecord, FingerprintRecord, RoundRecord
from halo_jax.types import Precision

SIZES = {"energy": 7, "latency": 7, "area": 6}
# Per group: the fraction of the rounds after which a precision starts, and the precision.
HALO_PS = {
    "energy": ((0.0, "8-8-8"), (0.35, "8-8-6"), (0.7, "8-8-4")),
    "latency": ((0.0, "8-8-8"), (0.35, "8-6-8"), (0.7, "8-4-8")),
    "area": ((0.0, "8-8-8"), (0.35, "6-8-8"), (0.7, "4-8-8")),
}
LAST_ACCURACY = {"8-8-8": 0.8669, "halo_ps": 0.8655, "2-4-4": 0.8391}
WEIGHTS = 92_000  # of a narrow network: sets the payload only


def cost(bits: Precision) -> tuple[float, float, float]:
    """Energy in mJ, latency in s and area in mm2 of about the size that EMNIST has in Table II."""
    weights, activations, errors = (value / 8 for value in bits)
    energy_mj = 1.2564 * (0.98 * activations * errors + 0.01 * weights * (activations + errors))
    latency_s = 0.8734 * (0.9996 * activations + 0.0004 * errors)
    return energy_mj, latency_s, 935.86 * (0.94 * weights + 0.06 * errors)


def precision(arm: str, group: str, done: float) -> Precision:
    """The precision of a client of `group` when a fraction `done` of the rounds has passed."""
    if arm[0].isdigit():
        return Precision.parse(arm)
    return Precision.parse([text for start, text in HALO_PS[group] if start <= done][-1])


PAYLOAD = [name for name in ClientRecord._fields if name.startswith("payload") or name == "uploads"]


def client_rows(arm: str, number: int, rounds: int) -> list[ClientRecord]:
    groups = [group for group, size in SIZES.items() for _ in range(size)]
    rows = []
    for client, group in enumerate(groups):
        bits = precision(arm, group, (number - 1) / rounds)
        payload = (*(WEIGHTS * bits.weights,) * 3, *(WEIGHTS * 8,) * 3, 1)
        loss = 0.9 / number + 0.001 * client
        energy_mj, latency_s, _ = cost(bits)
        lap = (0.0, 300 * latency_s, 0.5, 300 * energy_mj / 1000, 1)
        rows.append(ClientRecord(number, client, group, *bits, *cost(bits), *payload, 300, loss, 0, "", *lap))
    return rows


def round_row(arm: str, number: int, rounds: int, clients: list[ClientRecord], eval_every: int):
    rng = np.random.default_rng([number, len(arm)])
    ends = number % eval_every == 0 or number == rounds
    last = LAST_ACCURACY.get(arm, 0.85)
    accuracy = last - 0.55 * np.exp(-7 * number / rounds) + 0.006 * rng.normal() * (1 - number / rounds)
    mean = {name: float(np.mean([getattr(row, name) for row in clients])) for name in ClientRecord._fields[3:9]}
    return RoundRecord(
        round=number,
        learning_rate=8.0 if number <= 0.6 * rounds else 1.0 if number <= 0.8 * rounds else 0.125,
        train_loss=np.float32(0.9 / number),
        test_loss=np.float32(1.0 / number) if ends else None,
        accuracy=np.float32(accuracy) if ends else None,
        top5_accuracy=np.float32(min(1.0, accuracy + 0.12)) if ends else None,
        **mean,
        **{name: sum(getattr(row, name) for row in clients) for name in PAYLOAD},
        examples=sum(row.examples for row in clients),
        virtual_seconds=max(row.compute_seconds + row.upload_seconds for row in clients),
        energy_joule=sum(row.energy_joule for row in clients),
        seconds=0.5,
    )


def write_run(folder: Path, arm: str = "halo_ps", rounds: int = 40, eval_every: int = 1) -> run_folder.Run:
    """Write the run folder of one arm and read it back."""
    schema = config.default()
    schema.rounds, schema.dataset = rounds, "emnist"
    schema.selector.name = "static" if arm[0].isdigit() else arm
    run_folder.create(folder, schema.to_dict())
    held = label_counts.rows(np.random.default_rng(0).multinomial(300, [0.3, 0.2, *[0.0625] * 8], sum(SIZES.values())))
    files.write(folder / run_folder.LABELS, csv_text([held[0]._fields, *held]))
    for number in range(1, rounds + 1):
        clients = client_rows(arm, number, rounds)
        row = round_row(arm, number, rounds, clients, eval_every)
        run_folder.append(folder, row, clients, [FingerprintRecord(number, "aggregate", None, f"{number:016x}")])
    run_folder.finish(folder, summary(schema, arm, row))
    return run_folder.read(folder)


def summary(schema, arm: str, row: RoundRecord) -> dict:
    return {
        "name": "table2_main",
        "arm": arm,
        "selector": schema.selector.name,
        "dataset": schema.dataset,
        "train_width": schema.width,
        "hardware_width": schema.hardware.width,
        "seed": schema.seed,
        "rounds": schema.rounds,
        "accuracy": row.accuracy,
        "top5_accuracy": row.top5_accuracy,
        "test_loss": row.test_loss,
        "class_accuracy": [0.75, 0.95],
        "client_accuracy": [0.9 - 0.01 * client for client in range(sum(SIZES.values()))],
        "model_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "versions": {"halo_jax": "0.1.0", "jax": "0.8.1", "python": "3.12.3"},
        "device": "cpu",
        "wall_seconds": 20.0,
        "git_commit": "0000000",
        "finished": True,
    }


def write_runs(
    folder: Path, arms: tuple[str, ...] = ("8-8-8", "halo_ps", "2-4-4"), **size
) -> dict[str, run_folder.Run]:
    """Write one run folder an arm."""
    return {arm: write_run(folder / arm, arm, **size) for arm in arms}

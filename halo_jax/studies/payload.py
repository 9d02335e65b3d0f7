"""Paper, Table IV: where HaLo-FL's 1.52 MB a round may come from."""

from typing import NamedTuple

from halo_jax.config import Config
from halo_jax.paper import HALO_FL_MEGABYTES
from halo_jax.studies.base import Table, network_of, weights
from halo_jax.studies.table2 import TRACES
from halo_jax.types import Precision

BITS_PER_MB = 8e6


class StepRow(NamedTuple):
    """One step of the calculation."""

    quantity: str
    value: float
    unit: str
    how: str


def study(config: Config) -> dict[str, Table]:
    """Multiply the network's weights by the mean bits that travel; the paper: model size times precision of weights."""
    layers = network_of(config, "cifar10").layers
    total = sum(map(weights, layers))
    bits = {
        row: sum(Precision.parse(text).weights * rounds for text, rounds in trace.items()) / sum(trace.values())
        for row, trace in TRACES.items()
    }
    mean = sum(bits.values()) / len(bits)
    payload, master = total * mean / BITS_PER_MB, total * 8 / BITS_PER_MB
    quarter = payload / 4
    rows = [
        StepRow("weights", total, "", f"{config.model} for cifar10 at width {config.hardware.width:g}"),
        *(StepRow(f"weight bits, {row}", value, "bits", "mean over our traces") for row, value in bits.items()),
        StepRow("weight bits, HaLo-FL", mean, "bits", "mean of the groups"),
        StepRow("payload", payload, "MB", "weights x mean bits, one client, one way, one round"),
        StepRow("a quarter of it", quarter, "MB", "5 of 20 clients taking part, or bits divided by 32 for 8"),
        StepRow("the paper's number", HALO_FL_MEGABYTES, "MB", "Table IV, HaLo-FL"),
        StepRow("difference", quarter - HALO_FL_MEGABYTES, "MB", "a quarter less the paper's"),
        StepRow("true payload", master, "MB", "the 8-bit master, one client, one way, one round: what we report"),
    ]
    title = f"Table IV's {HALO_FL_MEGABYTES} MB is a quarter of {payload:.2f} MB"
    return {"payload": Table(f"{title}: our reading, as the paper says no more", rows)}

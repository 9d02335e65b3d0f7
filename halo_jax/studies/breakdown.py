"""Paper, Fig. 6: read and write energy, latency and area of every layer, forward and backward."""

from typing import NamedTuple

from halo_jax.config import Config
from halo_jax.fields import grid
from halo_jax.hardware.bill import breakdown_rows
from halo_jax.studies.base import Table, chip_of, network_of
from halo_jax.types import Precision


class ClaimRow(NamedTuple):
    """One sentence of the paper about Fig. 6, in numbers."""

    quantity: str
    paper: str
    ours: float


def study(config: Config) -> dict[str, Table]:
    """Break the first precision of `config.precision` down by layer and phase."""
    network, chip = network_of(config), chip_of(config)
    precision = Precision(*(widths[0] for widths in grid(config.precision)))
    rows = breakdown_rows(chip.breakdown(network.layers, precision), network.names)
    what = f"{config.model} for {config.dataset} at {precision}, {config.hardware.name} {config.hardware.device}"

    def total(metric: str, *phases: str) -> float:
        return sum(row.value for row in rows if row.metric == metric and row.in_total and row.phase in phases)

    energy, latency = (
        total(metric, "backward", "gradient") / total(metric, "forward") for metric in ("energy_mj", "latency_s")
    )
    claims = [
        ClaimRow("energy, backward by forward", "nearly two orders of magnitude", energy),
        ClaimRow("latency, backward by forward", "more than two orders of magnitude", latency),
        ClaimRow(
            "area, weights by errors",
            "weights have the larger impact",
            total("area_mm2", "forward+backward") / total("area_mm2", "gradient"),
        ),
    ]
    return {
        "breakdown": Table(f"{what}: every part of every layer", rows, shown=False),
        "claims": Table(f"{what}; backward is Eq. 3 and Eq. 4 together", claims),
    }

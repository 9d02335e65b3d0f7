"""Paper, Fig. 6: read and write energy, latency and area of every layer, forward and backward."""

from typing import NamedTuple

from halo_jax.config import Config, ConfigError
from halo_jax.hardware.pricing import breakdown_rows
from halo_jax.parameters import grid
from halo_jax.studies.base import Table, chip_of, network_of, setting
from halo_jax.types import Precision


class ClaimRow(NamedTuple):
    """One sentence of the paper about Fig. 6, in numbers."""

    quantity: str
    paper: str
    ours: float


def study(config: Config) -> dict[str, Table]:
    """Break `config.precision`, one and no grid, down by layer and phase."""
    bits = grid(config.precision)
    if any(len(widths) > 1 for widths in bits):
        raise ConfigError(f"precision={config.precision!r} is a grid; allowed: one precision, such as 6-4-4")
    precision, network, chip = Precision(*(widths[0] for widths in bits)), network_of(config), chip_of(config)
    rows = breakdown_rows(chip.breakdown(network.layers, precision), network.names)
    what = setting(config, precision)

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
        "claims": Table(f"{what}: the paper's words on its own map, and ours; backward is Eq. 3 and Eq. 4", claims),
    }

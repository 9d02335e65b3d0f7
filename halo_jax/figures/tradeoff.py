"""What accuracy costs: each arm's accuracy against all that was sent, and against the energy of training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from halo_jax.figures.base import Config, Tables, canvas, plain, texts

_QUANTISED = {"color": "#d55e00", "marker": "s"}
_FLOAT = {"color": "#0072b2", "marker": "o"}


def draw_payload(config: Config, tables: Tables) -> Figure | None:
    """Accuracy against the payload of the whole run; None without the table `comparison`."""
    label = "payload of all clients and rounds, up and down (MB, as packed)"
    return _scatter(config, tables.get("comparison"), "total_megabytes", label, "Accuracy against total payload")


def draw_energy(config: Config, tables: Tables) -> Figure | None:
    """The same against the energy of all training samples."""
    label = "training energy of all clients and rounds (J, by the cost model)"
    return _scatter(config, tables.get("comparison"), "energy_joule", label, "Accuracy against training energy")


def _scatter(
    config: Config, rows: Mapping[str, np.ndarray] | None, column: str, label: str, title: str
) -> Figure | None:
    if not rows:
        return None
    names, quantised = texts(rows["arm"]), texts(rows["quantised_training"])
    order = np.argsort(-rows["accuracy_percent"], kind="stable")
    caption = (
        f"{title}, one point an arm, numbered from the most accurate: mean over seeds, bars of one standard "
        "deviation. Squares train in low precision, circles in float32, which is priced at its bits in the records."
    )
    figure, grid = canvas(title, caption, [config], (1, 1), (8.5, 5.0))
    axes = grid[0, 0]
    for place, i in enumerate(order, 1):
        x, y = rows[column][i], rows["accuracy_percent"][i]
        style: dict[str, Any] = _QUANTISED if quantised[i] == "yes" else _FLOAT
        spread = np.nan_to_num(rows["accuracy_spread_percent"][i])
        axes.errorbar(x, y, yerr=spread, capsize=2, elinewidth=0.8, markersize=5, linestyle="", **style)
        axes.annotate(str(place), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7)
        axes.plot([], [], linestyle="", markersize=4, label=f"{place}  {names[i]} ({y:.1f} %)", **style)
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.set_ylabel("top-1 accuracy (%)")
    plain(axes)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False, fontsize=7)
    return figure

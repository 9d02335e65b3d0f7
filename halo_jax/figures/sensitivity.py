"""Paper, Fig. 1: energy, latency and area as one dimension loses bits and the other two keep 8."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halo_jax.figures.base import canvas, plain
from halo_jax.figures.series import Config, Tables, texts
from halo_jax.records.units import label_of, quantity_of
from halo_jax.types import Cost

# Lines that lie on each other are all seen: a broad one, a dashed one over it, and rings around both.
LINES = {
    "weights": {"color": "#e69f00", "linestyle": "-", "linewidth": 4.5},
    "activations": {"color": "black", "linestyle": "--", "linewidth": 1.6, "marker": "s", "markersize": 3.5},
    "errors": {"color": "#0072b2", "linestyle": ":", "linewidth": 1.6, "marker": "o", "markersize": 9},
}


def draw(config: Config, tables: Tables) -> Figure | None:
    """Draw a row of panels for each data set, a panel for each metric; None without the table `sweep`."""
    sweep = tables.get("sweep")
    if not sweep:
        return None
    names = np.array(texts(sweep["dataset"]))
    datasets = list(dict.fromkeys(names.tolist()))
    caption = "Energy, latency and area of one training sample as one dimension loses bits, the other two at 8 bits."
    configs = [{**config, "dataset": dataset} for dataset in datasets]
    size = (10.5, 1.5 + 2.2 * len(datasets))
    figure, grid = canvas("Sensitivity to each dimension", caption, configs, (len(datasets), 3), size)
    for row, dataset in zip(grid, datasets, strict=True):
        of_dataset = {column: values[names == dataset] for column, values in sweep.items()}
        for axes, metric in zip(row, Cost._fields, strict=True):
            _panel(axes, of_dataset, metric)
            axes.set_title(f"{dataset}: {quantity_of(metric)}", fontsize=10)
    for axes in grid[-1]:
        axes.set_xlabel("bits of one dimension, the others at 8")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9, handlelength=4)
    return figure


def _panel(axes: Axes, sweep: dict[str, np.ndarray], metric: str) -> None:
    for dimension, line in LINES.items():
        mine = sweep["dimension"] == dimension
        axes.plot(sweep["bits"][mine], sweep[metric][mine], label=dimension, markerfacecolor="none", **line)
    axes.set(ylim=(0, 1.08 * max(sweep[metric].max(), 1e-30)), ylabel=label_of(metric), xticks=np.unique(sweep["bits"]))
    axes.invert_xaxis()
    plain(axes)

"""Who holds which labels: images by client and class as a heat map, and beside it how many each client holds."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from halo_jax.figures.base import canvas, plain
from halo_jax.figures.series import Config, Tables
from halo_jax.records.run_folder import Run

_MOST_NUMBERS = 240  # cells that hold their number
_MOST_CELLS = 200_000  # that are drawn: nobody could tell more apart


def draw(runs: Mapping[str, Run]) -> Figure | None:
    """Draw the labels of arms that share their data; None without any, or where clients of several runs differ."""
    labelled = [run for run in runs.values() if run.labels]
    shared = labelled and all(_equal(run.labels or {}, labelled[0].labels or {}) for run in labelled)
    if not shared:
        return None
    return _draw(_title(labelled[0].config), labelled[0].labels or {}, [labelled[0].config])


def _equal(table: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return table.keys() == other.keys() and all(np.array_equal(table[name], other[name]) for name in table)


def draw_study(config: Config, tables: Tables) -> Figure | None:
    """The same for the study `partition`, which asks no chip; None without its table `labels`."""
    return _draw(f"{_title(config)}\n{config['dataset']}", tables.get("labels", {}), [])


def _draw(title: str, table: Mapping[str, np.ndarray], configs: Sequence[Config]) -> Figure | None:
    columns = [column for name, column in table.items() if name.startswith("class_")]
    if not columns or any(column.dtype.kind not in "if" for column in columns):
        return None
    if len(columns) * columns[0].size > _MOST_CELLS:
        return None
    counts = np.stack(columns, axis=1).astype(np.float64)
    clients, classes = counts.shape
    caption = "Training images of each class (colour) and of all (dots) that every client holds."
    size_inch = float(np.clip(4 + 0.3 * classes, 6, 13)), float(np.clip(2.4 + 0.22 * clients, 3.5, 11))
    ratios = {"width_ratios": (3, 1)}
    figure, grid = canvas(title, caption, configs, (1, 2), size_inch, sharey=True, gridspec_kw=ratios)
    cells, sizes = grid[0]
    colours = cells.pcolormesh(counts, cmap="Blues", vmin=0, edgecolors="0.85", linewidth=0.3)
    if counts.size <= _MOST_NUMBERS:
        _write_numbers(cells, counts)
    for axis, length in ((cells.xaxis, classes), (cells.yaxis, clients)):
        steps = MaxNLocator(nbins=24, integer=True, min_n_ticks=1).tick_values(0, length - 1)
        axis.set_ticks([step + 0.5 for step in steps if 0 <= step < length])
        axis.set_ticklabels([f"{step:.0f}" for step in steps if 0 <= step < length])
    cells.set(xlabel="class", ylabel="client", ylim=(clients, 0))
    cells.tick_params(labelsize=9)
    figure.colorbar(colours, ax=cells, orientation="horizontal", label="images of a class", shrink=0.6, aspect=40)
    sizes.plot(counts.sum(axis=1), np.arange(clients) + 0.5, "o", color="black", markersize=3.5)
    sizes.set(xlabel="images")
    sizes.set_xlim(left=0)
    plain(sizes)
    return figure


def _write_numbers(axes: Axes, counts: np.ndarray) -> None:
    dark = 0.6 * counts.max()
    for client, label in zip(*np.nonzero(counts), strict=True):
        number = counts[client, label]
        colour = "white" if number > dark else "black"
        axes.text(label + 0.5, client + 0.5, f"{number:.0f}", ha="center", va="center", fontsize=6.5, color=colour)


def _title(config: Config) -> str:
    dealt = config["partition"]
    parameter = {"dirichlet": "alpha", "unequal": "alpha", "shards": "shards_per_client"}.get(dealt["name"])
    value = f", {parameter.replace('_', ' ')} {dealt[parameter]:g}" if parameter else ""
    return f"Labels by client: {dealt['name']} partition{value}"

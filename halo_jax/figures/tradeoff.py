"""What accuracy costs: each arm's accuracy against all that was sent, and against energy, latency and area."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from halo_jax.figures.base import canvas, plain
from halo_jax.figures.series import Config, Tables, of_points, row_names, texts

_OWN_BITS = {"color": "#009e73", "marker": "D"}
_QUANTISED = {"color": "#d55e00", "marker": "s"}
_FLOAT = {"color": "#0072b2", "marker": "o"}
_DECADE = 5  # costs that differ by more take a logarithmic axis
_FEW = 8  # arms; among more the best are joined by a line
_COLUMN = 36  # names in a column of the legend
_APART = 0.032  # of the height of the axes, between two labels
_BESIDE = 0.14  # of their width, within which labels would meet
_SHORT = 8  # characters of a name that fits beside its point


def draw_payload(config: Config, tables: Tables) -> Figure | None:
    """Accuracy against the payload of the whole run, up alone, and both ways; None where all arms have the same."""
    columns = {"up_total_megabytes": "up (MB)", "total_megabytes": "up and down (MB)"}
    if not _differ(tables, *columns):
        return None
    what = "payload of all clients and rounds, as packed"
    return _panels(config, tables, columns, f"Accuracy against {what}")


def draw_energy(config: Config, tables: Tables) -> Figure | None:
    """The same against the energy of all training samples."""
    columns = {"energy_joule": "energy of all training samples (J)"}
    return _panels(config, tables, columns, "Accuracy against training energy, by the cost model")


def draw_latency(config: Config, tables: Tables) -> Figure | None:
    """The same against the latency of a training sample."""
    return _per_sample(config, tables, "latency_s", "latency of a training sample (s)")


def draw_area(config: Config, tables: Tables) -> Figure | None:
    """The same against the area that is utilised."""
    return _per_sample(config, tables, "area_mm2", "utilised area (mm²)")


def _per_sample(config: Config, tables: Tables, column: str, label: str) -> Figure | None:
    if not _differ(tables, column):
        return None
    return _panels(config, tables, {column: label}, f"Accuracy against {label.rpartition(' (')[0]}, by the cost model")


def _differ(tables: Tables, *columns: str) -> bool:
    """Whether arms differ in any of the columns of the table `comparison`, which may be missing."""
    rows = tables.get("comparison", {})
    return any(len(np.unique(rows[column])) > 1 for column in columns if column in rows)


def _panels(config: Config, tables: Tables, columns: Mapping[str, str], title: str) -> Figure | None:
    rows = tables.get("comparison", {})
    if rows:
        is_finite = np.all([np.isfinite(rows[name]) for name in ("accuracy_percent", *columns)], axis=0)
        rows = {name: column[is_finite] for name, column in rows.items()}
    if not rows or not rows["arm"].size:
        return None
    caption = (
        f"{title}: one point an arm, by its name or a number; mean over seeds, bars of one "
        "standard deviation. Squares train in low precision, diamonds so with bits of their own, circles in float32, "
        "at the energy of the bits in their records. Arrows: far below the axis."
    )
    order = np.argsort(-rows["accuracy_percent"], kind="stable")
    if len(order) > _FEW:
        caption += " Line: the arms that no other beats in both."
    figure, grid = canvas(
        title, caption, of_points(config, rows), (1, len(columns)), (4.3 + 4.0 * len(columns), 5.2), sharey=True
    )
    for axes, (column, label) in zip(grid[0], columns.items(), strict=True):
        _points(axes, rows, column, order)
        axes.set_xlabel(label)
    grid[0, 0].set_ylabel("top-1 accuracy (%)")
    handles, labels = grid[0, -1].get_legend_handles_labels()
    if labels:
        beside: Any = {"loc": "upper left", "bbox_to_anchor": (1.02, 1), "borderaxespad": 0}
        beside |= {"frameon": False, "fontsize": 7, "ncols": 1 + len(labels) // _COLUMN}
        grid[0, -1].legend(handles, labels, **beside)
    return figure


def _points(axes: Axes, rows: Mapping[str, np.ndarray], column: str, order: np.ndarray) -> None:
    """Every arm's point, from the most accurate on, with its name, or a number where the legend has the name."""
    names, styles = row_names(rows), _styles(rows)
    accuracy, cost = rows["accuracy_percent"], rows[column]
    spread = np.nan_to_num(rows["accuracy_spread_percent"])
    low, high = _range(accuracy, spread)
    marks: list[tuple[str, float, float]] = []
    numbered = 0
    for i in order:
        seen = accuracy[i] >= low
        y = float(accuracy[i] if seen else low + 0.02 * (high - low))
        mark, shown = names[i], styles[i]
        if len(mark) > _SHORT or not seen:
            numbered += 1
            mark = str(numbered)
            shown = shown | {"label": f"{mark}  {names[i]} ({accuracy[i]:.1f} %)"} | ({} if seen else {"marker": "v"})
        error = spread[i] if seen else None
        axes.errorbar(cost[i], y, error, capsize=2, elinewidth=0.7, markersize=5, linestyle="", **shown)
        marks.append((mark, float(cost[i]), y))
    if len(order) > _FEW:
        best = _front(cost, accuracy)
        axes.plot(cost[best], np.maximum(accuracy[best], low), color="0.6", linewidth=0.9, zorder=1)
    if cost.min() > 0 and cost.max() > _DECADE * cost.min():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.16)
    axes.set_ylim(low, high)
    plain(axes)
    _mark(axes, marks)


def _styles(rows: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    kinds = zip(texts(rows["quantised_training"]), texts(rows["own_bits"]), strict=True)
    return [(_OWN_BITS if own_bits == "yes" else _QUANTISED) if low == "yes" else _FLOAT for low, own_bits in kinds]


def _front(cost: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """The arms that no other beats in cost and accuracy, from the cheapest on."""
    order = np.lexsort((-accuracy, cost))
    best = np.maximum.accumulate(accuracy[order])
    return order[np.flatnonzero(np.diff(best, prepend=-np.inf) > 0)]


def _range(accuracy: np.ndarray, spread: np.ndarray) -> tuple[float, float]:
    """The axis of accuracy: that of all arms but those that have failed, far below the middle half."""
    lower, median = np.percentile(accuracy, (25, 50))
    kept = accuracy >= lower - 5 * max(median - lower, 2.0)
    low, high = (accuracy - spread)[kept].min(), (accuracy + spread)[kept].max()
    margin = 0.08 * max(high - low, 1.0)
    return float(low - margin), float(high + margin)


def _mark(axes: Axes, marks: Sequence[tuple[str, float, float]]) -> None:
    """Texts beside points that come from the highest to the lowest, moved down where they would meet."""
    to_axes = axes.transScale + axes.transLimits
    taken: list[tuple[float, float]] = []
    for text, cost, accuracy in marks:
        x, y = to_axes.transform((cost, accuracy))
        y = min([y, *(other - _APART for beside, other in taken if abs(beside - x) < _BESIDE)])
        taken.append((x, y))
        line = {"arrowstyle": "-", "linewidth": 0.3, "color": "0.5", "shrinkA": 0, "shrinkB": 3}
        at: Any = {"xytext": (x + 0.035, y), "textcoords": "axes fraction", "arrowprops": line, "va": "center"}
        axes.annotate(text, (cost, accuracy), fontsize=7, annotation_clip=False, **at)

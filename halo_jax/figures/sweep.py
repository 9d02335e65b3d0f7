"""Accuracy over a sweep: over the fields of one of its entries, a line for each arm and point of the others."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from halo_jax.figures.base import canvas, legend_beside, plain, style
from halo_jax.figures.series import Config, Tables, arm_name, of_points, swept, texts

_DECADE = 10  # positive values that differ by as much take a logarithmic axis
_LETTERS = 36  # in a line of the legend


def draw(config: Config, tables: Tables) -> Figure | None:
    """Means over seeds with bars of one standard deviation; None without the table `comparison` of a sweep."""
    rows = tables.get("comparison")
    if not rows or not swept(rows):
        return None
    entries = [[assignment.partition("=")[0].strip() for assignment in entry.split(";")] for entry in config["sweep"]]
    fields = max(entries, key=lambda entry: (len(set(_points(rows, entry))) > 1, _is_numeric(rows, entry)))
    label = ", ".join(fields)
    caption = (
        f"Accuracy over {label}: one point for each point of the sweep, mean over seeds, bars of one standard "
        "deviation; a line for each arm and for each value of the other swept fields."
    )
    figure, grid = canvas(f"Accuracy over {label}", caption, of_points(config, rows), (1, 1), (9.5, 4.8))
    axes, (at, names) = grid[0, 0], _positions(rows, fields)
    for i, (name, which) in enumerate(_lines(rows, fields).items()):
        order = which[np.argsort(at[which], kind="stable")]
        spread = np.nan_to_num(rows["accuracy_spread_percent"][order])
        shown = {**style(i), "label": name, "capsize": 2, "elinewidth": 0.7, "markersize": 5, "linewidth": 1.2}
        axes.errorbar(at[order], rows["accuracy_percent"][order], spread, **shown)
    plain(axes)
    if names:
        axes.set_xticks(range(len(names)), [arm_name(name, 18) for name in names])
        axes.set_xlim(-0.4, len(names) - 0.6)
    elif at.min() > 0 and at.max() >= _DECADE * at.min():
        axes.set_xscale("log")
        axes.set_xticks(np.unique(at), [f"{value:g}" for value in np.unique(at)], minor=False)
        axes.minorticks_off()
    axes.set_xlabel(label)
    axes.set_ylabel("top-1 accuracy (%)")
    legend_beside(axes)
    return figure


def _points(rows: Mapping[str, np.ndarray], fields: Sequence[str]) -> list[str]:
    """The values of fields that go together, row by row, without those that are always the same."""
    columns = [texts(rows[field]) for field in fields]
    varying = [column for column in columns if len(set(column)) > 1] or columns[:1]
    return [", ".join(values) for values in zip(*varying, strict=True)]


def _is_numeric(rows: Mapping[str, np.ndarray], fields: Sequence[str]) -> bool:
    """Whether the first of the fields that vary is a number that tells the points apart."""
    varying = [field for field in fields if len(set(texts(rows[field]))) > 1] or list(fields)
    column = rows[varying[0]]
    number = column.dtype.kind == "f" and not np.isnan(column).any()
    return number and len(np.unique(column)) == len(set(_points(rows, fields)))


def _positions(rows: Mapping[str, np.ndarray], fields: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Where each row stands on the axis, and the names of evenly spaced places where values are no numbers."""
    if _is_numeric(rows, fields):
        return rows[next((field for field in fields if len(set(texts(rows[field]))) > 1), fields[0])], []
    points = _points(rows, fields)
    names = list(dict.fromkeys(points))
    return np.array([names.index(point) for point in points], float), names


def _lines(rows: Mapping[str, np.ndarray], fields: Sequence[str]) -> dict[str, np.ndarray]:
    """The rows of each line by its name."""
    others = [other for other in swept(rows) if other not in fields and len(set(texts(rows[other]))) > 1]
    columns = [[f"{other}={value}" for value in texts(rows[other])] for other in others]
    lines: dict[str, list[int]] = {}
    for i, (*point, arm) in enumerate(zip(*columns, texts(rows["arm"]), strict=True)):
        lines.setdefault(arm_name(", ".join([arm, *point]), _LETTERS), []).append(i)
    return {name: np.array(which) for name, which in lines.items()}

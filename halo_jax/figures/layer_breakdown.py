"""Paper, Fig. 6: energy, latency and area of every layer, forward and backward, reads and writes."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from halo_jax.figures.base import FILLS, by_layer, canvas, layer_bars, layers_wide, legend_beside
from halo_jax.figures.series import Config, Tables, texts
from halo_jax.records.units import label_of
from halo_jax.types import Cost

FORWARD = ("forward", "update")  # the phases that the paper calls forward; backward is its Eq. 3 and its Eq. 4
BARS = {
    ("forward", False): {"facecolor": "#f6c667", "edgecolor": "black"},
    ("forward", True): {"facecolor": "white", "edgecolor": "#b26b00", "hatch": "//////"},
    ("backward", False): {"facecolor": "#0072b2", "edgecolor": "black"},
    ("backward", True): {"facecolor": "white", "edgecolor": "#00324f", "hatch": "xxxxxx"},
}
Rows = Mapping[str, np.ndarray]
Bars = dict[str, tuple[np.ndarray, Mapping[str, Any]]]


def draw(config: Config, tables: Tables) -> Figure | None:
    """Draw three panels with a group of bars for each layer; None without the table `breakdown`."""
    rows = tables.get("breakdown")
    if not rows:
        return None
    names = dict(zip(rows["layer"].tolist(), texts(rows["name"]), strict=True))
    caption = "Energy, latency and area of each layer for one training sample; backward is Eq. 3 and Eq. 4 together"
    caption += ", forward includes the update of the weights." if "update" in rows["phase"] else "."
    title = f"Cost by layer at {_first(config['precision'])}"
    figure, grid = canvas(title, caption, [config], (3, 1), (layers_wide(len(names)), 7.6), sharex=True)
    for axes, metric in zip(grid[:, 0], Cost._fields, strict=True):
        by_layer(axes, list(names.values()))
        axes.set_ylabel(label_of(metric))
        of_metric = {column: values[rows["metric"] == metric] for column, values in rows.items()}
        if metric == "area_mm2":
            _stack(axes, _areas(of_metric))
        else:
            layer_bars(axes, _passes(of_metric))
            _log(axes, of_metric["value"])
        axes.label_outer()
        legend_beside(axes)
    return figure


def _first(precision: str) -> str:
    """The first precision of a grid of them, which is the one that is broken down."""
    return "-".join(str(min(map(int, re.findall(r"\d+", bits)))) for bits in precision.split("-"))


def _passes(rows: Rows) -> Bars:
    """Reads and writes, forward and backward; what is not in the total only where nothing else is, and named so.

    Without any writes, as in the latency of the paper's mapping, there is forward and backward only.
    """
    forward = np.isin(rows["phase"], FORWARD)
    writes = np.array(["write" in component for component in rows["component"]], bool)
    reads = ", reads" if all("read" in component for component in rows["component"][~writes]) else ", all but writes"
    counted, bars = rows["in_total"] == "True", {}
    for (way, write), style in BARS.items():
        mine = (forward == (way == "forward")) & (writes == write)
        label = way + (", writes" if write else reads if writes.any() else "")
        if (mine & counted).any():
            mine &= counted
        elif mine.any():
            label += "\n(not in the total)"
        else:
            continue
        bars[label] = _by_layer(rows, mine), style
    return bars


def _areas(rows: Rows) -> Bars:
    """The area by what lies there: the first word of a component, weight, activation or error."""
    what = np.array([component.partition(" ")[0] for component in rows["component"]])
    fills = {dimension.removesuffix("s"): fill for dimension, fill in FILLS.items()}
    other = {"facecolor": "0.6", "edgecolor": "black", "hatch": "...."}
    order = [word for word in fills if word in what] + sorted(set(what.tolist()) - set(fills))
    return {f"area of {word}s": (_by_layer(rows, what == word), fills.get(word, other)) for word in order}


def _by_layer(rows: Rows, chosen: np.ndarray) -> np.ndarray:
    layers, index = np.unique(rows["layer"], return_inverse=True)
    return np.bincount(index[chosen], rows["value"][chosen], len(layers))


def _stack(axes: Axes, bars: Bars) -> None:
    below = 0
    for label, (values, style) in bars.items():
        axes.bar(np.arange(1, len(values) + 1), values, 0.6, below, label=label, linewidth=0.5, **style)
        below = below + values


def _log(axes: Axes, values: np.ndarray) -> None:
    """A log scale with room below the smallest bar, so that it is seen."""
    seen = values[values > 0]
    if seen.size:
        axes.set(yscale="log", ylim=(seen.min() / 4, 4 * seen.max()))
        axes.yaxis.set_major_locator(LogLocator(numticks=12))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())

"""What bits buy: each metric against quantisation noise over a grid of precisions, and the front of the best."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from halo_jax.figures.base import canvas, plain
from halo_jax.figures.series import Config, Tables, texts
from halo_jax.records.units import label_of, quantity_of
from halo_jax.types import Cost

MOST_LABELS = 10


def draw(config: Config, tables: Tables) -> Figure | None:
    """Draw a panel for each metric: all precisions grey, the front as black stairs; None without the table `grid`."""
    rows = tables.get("grid")
    if not rows:
        return None
    fronts = [cell.split() for cell in texts(rows["fronts"])]
    precisions = texts(rows["precision"])
    caption = (
        "Energy, latency and area of one training sample against quantisation noise, one point a precision;"
        " black: the front, which no other precision beats in both."
    )
    title = f"Front of {len(precisions)} precision{'s' * (len(precisions) > 1)} (bits of weights-activations-errors)"
    figure, grid = canvas(title, caption, [config], (1, 3), (11, 4.2))
    curves = []
    for axes, metric in zip(grid[0], Cost._fields, strict=True):
        on = np.array([quantity_of(metric) in front for front in fronts])
        curves.append(_panel(axes, rows["noise"], rows[metric], on))
        axes.set_ylabel(label_of(metric))
        axes.set_xlabel("quantisation noise $4^{-b_w}+4^{-b_a}+4^{-b_e}$", parse_math=True)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.draw_without_rendering()  # only then is it known what overlaps
    for axes, metric, front in zip(grid[0], Cost._fields, curves, strict=True):
        _label(axes, [precisions[i] for i in front], np.stack([rows["noise"], rows[metric]], axis=-1)[front])
    return figure


def _panel(axes: Axes, noise: np.ndarray, cost: np.ndarray, on: np.ndarray) -> np.ndarray:
    """All points, and the front as stairs; returns which it is, from the left."""
    axes.plot(noise, cost, "o", color="0.72", markersize=3, markeredgewidth=0, label="all precisions")
    front = np.flatnonzero(on)
    front = front[np.lexsort((cost[front], noise[front]))]
    stairs = {"color": "black", "linewidth": 1.3, "marker": "D", "markersize": 3.5}
    axes.step(noise[front], cost[front], where="post", label="front", **stairs)
    axes.set(xscale="log", yscale="log")
    axes.set(xlim=_limits(noise, 0.35, 3, 0.22), ylim=_limits(cost, 0.6, 1.5, 0.06))  # wide enough for a tick each
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    plain(axes)
    return front


def _limits(values: np.ndarray, low: float, high: float, room: float) -> tuple[float, float]:
    """From `low` times the least to `high` times the most, and room at the lower end for labels."""
    least, most = values.min(), values.max()
    return low * least * (least / most) ** room, high * most


def _label(axes: Axes, names: list[str], points: np.ndarray) -> None:
    """Name points of the front, far apart, lower left of them, where there are no others."""
    offset = {"xytext": (-4, -3), "textcoords": "offset points", "ha": "right", "va": "top", "fontsize": 7.5}
    boxes, edge, places = [], axes.get_window_extent(), axes.transData.transform(points)
    far = np.full(len(points), np.inf)  # from the nearest that was tried
    for _ in range(min(len(points), 3 * MOST_LABELS)):
        at = int(np.argmax(far))
        far = np.minimum(far, np.hypot(*(places - places[at]).T))
        label = axes.annotate(names[at], points[at], **offset)
        box = label.get_window_extent().padded(1)
        inside = edge.x0 < box.x0 and edge.y0 < box.y0
        if inside and len(boxes) < MOST_LABELS and not any(box.overlaps(other) for other in boxes):
            boxes.append(box)
        else:
            label.remove()

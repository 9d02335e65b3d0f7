"""What figures draw alike: a titled canvas, styles that survive grey print, lines of accuracy, an axis of layers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from halo_jax.figures.series import AccuracyCurve, Config, accuracy_curve, arm_name, runs_by_arm, setting
from halo_jax.records.run_folder import Run

STYLES = (
    {"color": "black", "linestyle": "-", "marker": "o"},
    {"color": "#0072b2", "linestyle": "--", "marker": "s"},
    {"color": "#d55e00", "linestyle": ":", "marker": "^"},
    {"color": "#009e73", "linestyle": "-.", "marker": "D"},
    {"color": "#7b3294", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
)

# Bars of what belongs to a dimension: dark, light and striped, also where they are narrow or grey.
FILLS = {
    "weights": {"facecolor": "#0072b2", "edgecolor": "black"},
    "activations": {"facecolor": "#f6c667", "edgecolor": "black"},
    "errors": {"facecolor": "white", "edgecolor": "black", "hatch": "//////"},
}
MOST_NAMES = 24  # of layers on an axis; more are numbered
_LONGEST_NAME = 22
_BELOW = 3  # arms whose names fit below the axes


def canvas(
    title: str,
    caption: str,
    configs: Iterable[Config],
    panels: tuple[int, int],
    size_inch: tuple[float, float],
    **shared: Any,
) -> tuple[Figure, np.ndarray]:
    """Make a figure with a title and axes; below the title stands what the configs say (`series.setting`).

    Args:
      title: may have several lines.
      caption: a sentence or more, which becomes the figure's label.
      configs: of all runs that are drawn; none where the title says everything.
      panels: rows and columns of axes.
      size_inch: width and height.
      **shared: of `Figure.subplots`.

    Returns:
      The figure, and its axes `[rows, columns]`.
    """
    figure = Figure(figsize=size_inch, dpi=150, layout="constrained")
    figure.set_label(caption)
    figure.suptitle("\n".join(filter(None, (title, setting(list(configs))))), fontsize=10)
    axes = figure.subplots(*panels, squeeze=False, **shared)
    return figure, axes


def by_round(axes: Axes) -> None:
    """An x axis of whole rounds."""
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plain(axes)


def from_zero(axes: Axes, label: str) -> None:
    """An x axis of what adds up from 0."""
    axes.set_xlabel(label)
    axes.set_xlim(left=0)
    plain(axes)


def accuracy_against(
    runs: Mapping[str, Run], position: Callable[[Run], np.ndarray], title: str, caption: str, over_seeds: bool = False
) -> Figure | None:
    """Draw test accuracy against any measure of progress, a line for each run or, over seeds, for each arm.

    Args:
      runs: by their names, such as "qsgd", or "seed_0/qsgd".
      position: where each round of a run stands on the x axis, `[R]`.
      title: of the figure.
      caption: of the figure, a sentence or more.
      over_seeds: whether runs that differ in nothing but the seed are one line, their mean over the rounds in which
        all were evaluated, in a band of one standard deviation.

    Returns:
      The figure, whose x axis is the caller's to name; None if nothing was evaluated, or no position is known.
    """
    arms = runs_by_arm(runs, position, over_seeds)
    if not arms:
        return None
    beside = len(arms) > _BELOW
    several = " Lines are means over seeds, bands one standard deviation." if len(runs) > len(arms) else ""
    configs = [run.config for of_arm in arms.values() for run in of_arm]
    figure, grid = canvas(title, caption + several, configs, (1, 1), (9.5, 5) if beside else (7.5, 4.2))
    for i, (arm, of_arm) in enumerate(arms.items()):
        _accuracy_line(grid[0, 0], i, arm, accuracy_curve(of_arm, position), banded=len(of_arm) > 1)
    grid[0, 0].set_ylabel("top-1 accuracy on the test split (%)")
    if beside:
        legend_beside(grid[0, 0])
    else:
        figure.legend(loc="outside lower center", ncols=min(len(arms), 3), frameon=False, fontsize=9)
    return figure


def _accuracy_line(axes: Axes, i: int, arm: str, curve: AccuracyCurve, *, banded: bool) -> None:
    at, mean, spread = curve
    if not at.size:
        return
    look, every = style(i), max(1, len(at) // 8)
    label = f"{arm_name(arm)} ({mean[-1]:.2f} %)"
    axes.plot(at, mean, label=label, markevery=(i % 5 * every // 5, every), markersize=4.5, linewidth=1.4, **look)
    if banded:
        axes.fill_between(at, mean - spread, mean + spread, color=look["color"], alpha=0.15, linewidth=0)


def by_layer(axes: Axes, names: Sequence[str]) -> None:
    """An x axis of layers, 1 and up: their names or, where they are too many or have none, numbers."""
    axes.set_xlim(0.4, len(names) + 0.6)
    axes.set_xlabel("layer")
    plain(axes)
    axes.grid(visible=False, axis="x")
    if len(names) > MOST_NAMES or not all(names):
        axes.xaxis.set_major_locator(MaxNLocator(nbins=20, integer=True, min_n_ticks=1))
        return
    short = [name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}" for name in names]
    axes.set_xticks(range(1, len(names) + 1), short, rotation=35, rotation_mode="anchor", ha="right")


def layer_bars(axes: Axes, bars: Mapping[str, tuple[np.ndarray, Mapping[str, Any]]]) -> None:
    """Bars side by side for each layer: label -> a value a layer, and the bar's style."""
    width = 0.84 / max(1, len(bars))
    for i, (label, (values, style)) in enumerate(bars.items()):
        at = np.arange(1, len(values) + 1) + width * (i + 0.5 - len(bars) / 2)
        axes.bar(at, values, width, label=label, linewidth=0.5, **style)


def layers_wide(layers: int) -> float:
    """The width in inches that so many layers need."""
    return float(np.clip(4.5 + 0.3 * layers, 6.5, 13))


def style(i: int) -> dict[str, Any]:
    """The style of line `i`: no two of the first 25 are alike, nor share colour and dashes."""
    size, turn = len(STYLES), i // len(STYLES)
    colour, dashes, marker = STYLES[i % size], STYLES[(i + turn) % size], STYLES[(i + 2 * turn) % size]
    return {"color": colour["color"], "linestyle": dashes["linestyle"], "marker": marker["marker"]}


def legend_beside(axes: Axes, **options: Any) -> None:
    """A legend right of the axes, where it covers no data."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False, fontsize=9, **options)


def plain(axes: Axes) -> None:
    """No frame but the two spines with numbers, a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)

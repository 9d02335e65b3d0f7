"""What all figures share: a titled canvas, line styles that survive grey print, the groups of clients."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from halo_jax.record import ARM_NAMES, Run

GROUPS = ("energy", "latency", "area")
STYLES = (
    {"color": "black", "linestyle": "-", "marker": "o"},
    {"color": "#0072b2", "linestyle": "--", "marker": "s"},
    {"color": "#d55e00", "linestyle": ":", "marker": "^"},
    {"color": "#009e73", "linestyle": "-.", "marker": "D"},
    {"color": "#7b3294", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
)


def canvas(
    title: str,
    caption: str,
    runs: Mapping[str, Run],
    panels: tuple[int, int],
    size_inch: tuple[float, float],
    **shared: Any,
) -> tuple[Figure, np.ndarray]:
    """A titled figure and its axes, [rows, columns]; the figure's label is its caption.

    The title names the data set and the widths at which the network was trained and priced.
    """
    figure = Figure(figsize=size_inch, dpi=150, layout="constrained")
    figure.set_label(caption)
    figure.suptitle(f"{title}\n{_setting(runs)}", fontsize=10)
    axes = figure.subplots(*panels, squeeze=False, **shared)
    return figure, axes


def by_round(axes: Axes) -> None:
    """An x axis of whole rounds, no frame but the two spines with numbers, a light grid behind the data."""
    axes.set_xlabel("round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)


def arm_name(arm: str) -> str:
    """What the legend calls an arm."""
    return ARM_NAMES.get(arm, arm)


def selecting(runs: Mapping[str, Run]) -> dict[str, Run]:
    """The arms whose clients choose their precision and belong to groups."""
    return {arm: run for arm, run in runs.items() if run.selects and groups_of(run)}


def groups_of(run: Run) -> list[str]:
    """The groups of clients that took part, in the paper's order."""
    return [group for group in GROUPS if group in run.clients["constraint"]]


def _setting(runs: Mapping[str, Run]) -> str:
    configs = [run.config for run in runs.values()]
    facts = [(config["dataset"], config["width"], config["hardware"]["width"]) for config in configs]
    names, trained, priced = (" / ".join(dict.fromkeys(map(_text, column))) for column in zip(*facts, strict=True))
    return f"{names}, trained at width {trained}, priced at width {priced}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"

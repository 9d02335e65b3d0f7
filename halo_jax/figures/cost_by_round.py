"""Paper, Fig. 4: energy, latency and area by round for each group of clients, relative to 8-8-8."""

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halo_jax.figures.base import by_round, canvas
from halo_jax.figures.series import Config, Tables, arm_name, groups_of, selecting, selection
from halo_jax.records.run_folder import Run

REFERENCE = "8-8-8"
# Where lines lie on each other, the thinner one on top shows the other beside and between its dashes.
LINES = {
    "energy_mj": {"label": "energy", "color": "#e69f00", "linestyle": "-", "linewidth": 4.5},
    "latency_s": {"label": "latency", "color": "black", "linestyle": "--", "linewidth": 1.8},
    "area_mm2": {"label": "area", "color": "#0072b2", "linestyle": ":", "linewidth": 1.8, "marker": "o"},
}


def draw(runs: Mapping[str, Run]) -> Figure | None:
    """Draw a row of panels for each arm that selects, a panel for each group; None without such an arm.

    Costs are divided by those of the static 8-8-8 arm or, without one, by those of the group's first round.
    """
    runs = {arm: run for arm, run in runs.items() if all(np.isfinite(run.clients[metric]).all() for metric in LINES)}
    shown, left_out = selecting(runs)
    if not shown:
        return None
    groups = list(dict.fromkeys(group for run in shown.values() for group in groups_of(run)))
    reference = runs.get(REFERENCE)
    if reference and not reference.rounds["round"].size:
        reference = None
    of = f"the {REFERENCE} arm" if reference else "the group's first round"
    caption = f"Energy, latency and area by round: means over the clients of a group, relative to {of}.{left_out}"
    size = (1.0 + 3.0 * len(groups), 1.4 + 2.3 * len(shown))
    configs = [run.config for run in shown.values()]
    figure, grid = canvas("Cost by round", caption, configs, (len(shown), len(groups)), size)
    for row, (arm, run) in zip(grid, shown.items(), strict=True):
        for axes, group in zip(row, groups, strict=True):
            _panel(axes, run, group, reference)
        head = textwrap.fill(f"{arm_name(arm)}: cost relative", 30)
        row[0].set_ylabel(f"{head}\nto {of}")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def draw_study(config: Config, tables: Tables) -> Figure | None:
    """The same of a study's table `clients`: the selector alone."""
    return draw(selection(config, tables))


def _panel(axes: Axes, run: Run, group: str, reference: Run | None) -> None:
    mine = run.clients["constraint"] == group
    rounds, index, clients = np.unique(run.clients["round"][mine], return_inverse=True, return_counts=True)
    title = f"clients that want low {group}"
    for metric, line in LINES.items():
        means = np.bincount(index, run.clients[metric][mine]) / clients
        unit = means[0] if reference is None else reference.clients[metric].mean()
        axes.step(rounds, means / unit, where="mid", markersize=4, markevery=max(1, len(rounds) // 8), **line)
    if reference is None:
        first = mine & (run.clients["round"] == rounds[0])
        title += f"\n(round {rounds[0]}, at {_precisions(run, first)}, is 1)"
    axes.set_title(title, fontsize=10)
    axes.set_ylim(0, max(1.08, axes.get_ylim()[1]))
    by_round(axes)


def _precisions(run: Run, chosen: np.ndarray) -> str:
    columns = (run.clients[name][chosen] for name in ("weights_bits", "activations_bits", "errors_bits"))
    return ", ".join(dict.fromkeys(f"{w:g}-{a:g}-{e:g}" for w, a, e in zip(*columns, strict=True)))

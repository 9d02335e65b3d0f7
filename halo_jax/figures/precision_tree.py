"""Paper, Fig. 5: the tree of precisions, and the path that each group of clients takes down it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halo_jax.figures.base import canvas
from halo_jax.figures.series import Config, Tables, arm_name, groups_of, selecting, selection
from halo_jax.records.run_folder import Run
from halo_jax.types import Precision

_MOST_STOPS = 19  # from 8-8-8 to 2-2-2 bit by bit
BITS = ("weights_bits", "activations_bits", "errors_bits")


class _Stop(NamedTuple):
    """A node of a path: a precision, and the round from which it was used; 0 where it never was."""

    precision: tuple[float, ...]
    since: int


def draw(runs: Mapping[str, Run]) -> Figure | None:
    """Draw a row of panels for each arm that selects, a panel for each group; None without such an arm.

    A panel shows the path of most clients of its group. An arm whose precision rises again has no path down, and one
    that takes more than 18 steps, such as a mean over layers may, has none that could be read.
    """
    shown, left_out = selecting(runs)
    paths = {arm: {group: _path(run, group) for group in groups_of(run)} for arm, run in shown.items()}
    paths = {arm: of_arm for arm, of_arm in paths.items() if all(_is_drawn(path) for path, _ in of_arm.values())}
    if not paths:
        return None
    groups = list(dict.fromkeys(group for of_arm in paths.values() for group in of_arm))
    depth = max(len(path) for of_arm in paths.values() for path, _ in of_arm.values())
    caption = "The path of each group of clients down the tree of precisions (bits of weights-activations-errors)."
    caption += left_out
    size = (1.0 + 3.2 * len(groups), 1.0 + (0.8 + 0.75 * depth) * len(paths))
    configs = [runs[arm].config for arm in paths]
    figure, grid = canvas("Precision tree", caption, configs, (len(paths), len(groups)), size)
    for row, (arm, of_arm) in zip(grid, paths.items(), strict=True):
        for axes, group in zip(row, groups, strict=True):
            axes.set_axis_off()
            if group in of_arm:
                path, who = of_arm[group]
                _panel(axes, path, depth, runs[arm].config["selector"])
                axes.set_title(f"{arm_name(arm, 34)}, low {group}\n({who})", fontsize=10)
    figure.supxlabel("bits of weights-activations-errors; grey: choices that were not taken", fontsize=9)
    return figure


def draw_study(config: Config, tables: Tables) -> Figure | None:
    """The same of a study's table `clients`: the selector alone."""
    return draw(selection(config, tables))


def _path(run: Run, group: str) -> tuple[tuple[_Stop, ...], str]:
    """The path of most clients of the group, and how many of them took it."""
    mine = np.flatnonzero(run.clients["constraint"] == group)
    clients = run.clients["client"][mine]
    by_client = mine[np.argsort(clients, kind="stable")]
    own_rows = np.split(by_client, np.cumsum(np.unique(clients, return_counts=True)[1])[:-1])
    paths = Counter(_path_of_client(run, rows) for rows in own_rows)
    (path, count), *_ = paths.most_common(1)
    return path, f"{count} of {len(own_rows)} clients"


def _path_of_client(run: Run, rows: np.ndarray) -> tuple[_Stop, ...]:
    stops = [_Stop(tuple(Precision.parse(run.config["selector"]["start"])), 0)]
    for since, *bits in zip(*(run.clients[name][rows].tolist() for name in ("round", *BITS)), strict=True):
        if stops[-1].precision != tuple(bits):
            stops.append(_Stop(tuple(bits), since))
        elif stops[-1].since == 0:
            stops[-1] = _Stop(tuple(bits), since)
    return tuple(stops)


def _is_drawn(path: Sequence[_Stop]) -> bool:
    """Whether it goes down, in no more steps than there are bits."""
    falls = (np.all(np.less_equal(below.precision, above.precision)) for above, below in pairwise(path))
    return len(path) <= _MOST_STOPS and all(falls)


def _panel(axes: Axes, path: Sequence[_Stop], depth: int, selector: Mapping[str, Any]) -> None:
    """A level for each reduction: the choices there were, side by side, the one that was taken in black."""
    floor, at, right = Precision.parse(selector["floor"]), 0, 1
    for level, (above, below) in enumerate(pairwise(path), start=1):
        choices = [_reduced(above.precision, dimension, _step(selector)) for dimension in range(3)]
        if below.precision not in choices:  # a selector that reduces by other steps
            choices.append(below.precision)
        for x, choice in enumerate(choices, start=-1):
            taken = choice == below.precision
            if taken or np.all(np.greater_equal(choice, floor)):
                edge = {"color": "black", "linewidth": 2} if taken else {"color": "0.75", "linewidth": 1}
                axes.plot([at, x], [1 - level, -level], zorder=1 + taken, **edge)
                _node(axes, x, -level, choice, since=below.since if taken else None)
        at, right = choices.index(below.precision) - 1, max(right, len(choices) - 2)
    _node(axes, 0, 0, path[0].precision, since=path[0].since)
    axes.set(xlim=(-1.45, right + 0.5), ylim=(0.6 - depth, 0.3))


def _step(selector: Mapping[str, Any]) -> int:
    """Bits that one reduction takes away, if the selector says so; else the paper's 2."""
    return selector.get(selector["name"], {}).get("step", 2)


def _reduced(precision: tuple[float, ...], dimension: int, step: int) -> tuple[float, ...]:
    return tuple(bits - step * (i == dimension) for i, bits in enumerate(precision))


def _node(axes: Axes, x: float, y: float, precision: tuple[float, ...], *, since: int | None) -> None:
    label = "-".join(f"{bits:g}" for bits in precision)
    if since is None:
        box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": "0.75"}
        axes.text(x, y, label, ha="center", va="center", fontsize=9, color="0.45", bbox=box, zorder=3)
    else:
        box = {"boxstyle": "round,pad=0.35", "facecolor": "black", "edgecolor": "black"}
        text = f"{label}\nfrom round {since}" if since else f"{label}\nstart"
        axes.text(x, y, text, ha="center", va="center", fontsize=8, color="white", bbox=box, zorder=4)

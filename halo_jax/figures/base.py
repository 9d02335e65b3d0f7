"""What all figures share: a titled canvas, styles that survive grey print, the groups of clients, an axis of layers."""

import itertools
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from halo_jax.records.names import arm_label, is_of_one_precision, without_seed
from halo_jax.records.run_folder import Run

Config = Mapping[str, Any]  # as in config.json
Tables = Mapping[str, Mapping[str, np.ndarray]]  # of a study: table -> column -> one entry a row

GROUPS = ("energy", "latency", "area")
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
MOST_ROWS = 16  # of panels, one for each arm
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
    """A titled figure and its axes, [rows, columns]; the figure's label is its caption.

    Below the title stand the data set and the widths at which the network was trained and priced, or of a study the
    chip; nothing without `configs`.
    """
    figure = Figure(figsize=size_inch, dpi=150, layout="constrained")
    figure.set_label(caption)
    figure.suptitle("\n".join(filter(None, (title, _setting(list(configs))))), fontsize=10)
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
    """Test accuracy against `position`, one x a round; one line a run. None if nothing was evaluated, or no x is known.

    With `over_seeds`, runs "seed_0/qsgd", "seed_1/qsgd", ... give one line, their mean over the rounds in which all
    were evaluated, in a band of one standard deviation.
    """
    arms: dict[str, list[Run]] = {}
    for name, run in runs.items():
        if np.isfinite(run.rounds["accuracy"]).any() and np.isfinite(position(run)).all():
            arms.setdefault(without_seed(name) if over_seeds else name, []).append(run)
    if not arms:
        return None
    beside = len(arms) > _BELOW
    several = " Lines are means over seeds, bands one standard deviation." if len(runs) > len(arms) else ""
    configs = [run.config for found in arms.values() for run in found]
    figure, grid = canvas(title, caption + several, configs, (1, 1), (9.5, 5) if beside else (7.5, 4.2))
    for i, (arm, found) in enumerate(arms.items()):
        _accuracy_line(grid[0, 0], i, arm, found, position)
    grid[0, 0].set_ylabel("top-1 accuracy on the test split (%)")
    if beside:
        legend_beside(grid[0, 0])
    else:
        figure.legend(loc="outside lower center", ncols=min(len(arms), 3), frameon=False, fontsize=9)
    return figure


def _accuracy_line(axes: Axes, i: int, arm: str, runs: Sequence[Run], position: Callable[[Run], np.ndarray]) -> None:
    """Line `i`: over rounds in which every run was evaluated, means of both coordinates."""
    rounds = min(len(run.rounds["round"]) for run in runs)
    accuracy = 100 * np.stack([run.rounds["accuracy"][:rounds] for run in runs])
    evaluated = np.isfinite(accuracy).all(0)
    if not evaluated.any():
        return
    x = np.stack([position(run)[:rounds] for run in runs]).mean(0)[evaluated]
    mean, spread = accuracy[:, evaluated].mean(0), accuracy[:, evaluated].std(0, ddof=1 if len(runs) > 1 else 0)
    every = max(1, len(x) // 8)
    look = style(i)
    label = f"{arm_name(arm)} ({mean[-1]:.2f} %)"
    axes.plot(x, mean, label=label, markevery=(i % 5 * every // 5, every), markersize=4.5, linewidth=1.4, **look)
    if len(runs) > 1:
        axes.fill_between(x, mean - spread, mean + spread, color=look["color"], alpha=0.15, linewidth=0)


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


def texts(column: np.ndarray) -> list[str]:
    """A column as texts, also where its cells were read as numbers, or are all empty."""
    if column.dtype.kind != "f":
        return column.tolist()
    return ["" if np.isnan(cell) else f"{cell:g}" for cell in column]


def swept(rows: Mapping[str, np.ndarray]) -> list[str]:
    """The swept fields in the table `comparison`: the columns before the arm."""
    names = list(rows)
    return names[: names.index("arm")]


def of_points(config: Config, rows: Mapping[str, np.ndarray]) -> list[Config]:
    """The config of each row's point: the experiment's, with the values of the swept fields."""
    found = []
    for values in zip(*(rows[field] for field in swept(rows)), strict=True):
        one = {name: dict(value) if isinstance(value, Mapping) else value for name, value in config.items()}
        for field, value in zip(swept(rows), values, strict=True):
            section, _, leaf = field.rpartition(".")
            (one[section] if section else one)[leaf] = value
        found.append(one)
    return found or [config]


def row_names(rows: Mapping[str, np.ndarray]) -> list[str]:
    """What to call each row of the table `comparison`: its arm, after the values of the swept fields.

    A static arm is its precision alone where that tells it apart.
    """
    arms = texts(rows["arm"])
    short = [arm.partition(" (")[0] if is_of_one_precision(arm) else arm for arm in arms]
    arms = short if len(set(short)) == len(set(arms)) else arms
    values = [[f"{field}={value}" for value in texts(rows[field])] for field in swept(rows)]
    return [": ".join(filter(None, (", ".join(point), arm))) for *point, arm in zip(*values, arms, strict=True)]


def selection(config: Config, tables: Tables) -> dict[str, Run]:
    """The table `clients` of a study as the records of one arm that trains nothing; empty without it."""
    clients = dict(tables.get("clients", {}))
    if not clients:
        return {}
    clients |= {name: clients[name].astype(np.int64) for name in ("round", "client")}
    return {config["selector"]["name"]: Run(dict(config), {"round": np.unique(clients["round"])}, clients, {})}


def arm_name(arm: str, letters: int = 200) -> str:
    """What a legend or a title calls an arm, in lines of so many letters."""
    return textwrap.fill(arm_label(arm), letters)


def selecting(runs: Mapping[str, Run]) -> tuple[dict[str, Run], str]:
    """The arms whose clients choose their precision and belong to groups, and what a caption says of any left out.

    A figure with a row for each of hundreds is too tall to be looked at, or to be drawn at all.
    """
    found = {arm: run for arm, run in runs.items() if run.selects and groups_of(run)}
    note = f" The first {MOST_ROWS} of {len(found)} arms." if len(found) > MOST_ROWS else ""
    return dict(itertools.islice(found.items(), MOST_ROWS)), note


def groups_of(run: Run) -> list[str]:
    """The groups of clients that took part, in the paper's order."""
    return [group for group in GROUPS if group in run.clients["constraint"]]


def _setting(configs: Sequence[Config]) -> str:
    if not configs:
        return ""
    facts = [(config["dataset"], config["width"], config["hardware"]["width"]) for config in configs]
    names, trained, priced = (" / ".join(dict.fromkeys(map(_text, column))) for column in zip(*facts, strict=True))
    if not configs[0].get("study"):
        return f"{names}, trained at width {trained}, priced at width {priced}"
    hardware = configs[0]["hardware"]
    chip = f"{hardware['name']} {Path(hardware['device']).name}"
    return f"{configs[0]['model']} for {names}, priced at width {priced} on {chip}; nothing trained"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"

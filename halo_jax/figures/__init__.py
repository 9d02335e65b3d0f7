"""The figures: each draws a matplotlib figure from records alone, or returns None where it does not apply.

Names in them come from outside, so no text is mathematics unless its figure says so: "a$\\frac$" is a name like any.

To add one, write `figures/NAME.py` and list it here: with `draw(runs)`, where `runs` maps an arm to its records, or,
for a study, with `draw(config, tables)`, where `tables` maps a table to its columns.
"""

import functools
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from halo_jax.figures import (
    accuracy_by_energy_used,
    accuracy_by_round,
    accuracy_by_time,
    cost_by_round,
    front,
    labels_by_client,
    layer_bits,
    layer_breakdown,
    precision_tree,
    sensitivity,
    sweep,
    tradeoff,
)
from halo_jax.figures.series import Config, Tables
from halo_jax.records import files
from halo_jax.records.run_folder import Run

FIGURES: dict[str, Callable[[Mapping[str, Run]], Figure | None]] = {
    "accuracy_by_round": accuracy_by_round.draw,
    "accuracy_by_time": accuracy_by_time.draw,
    "accuracy_by_energy_used": accuracy_by_energy_used.draw,
    "cost_by_round": cost_by_round.draw,
    "precision_tree": precision_tree.draw,
    "labels_by_client": labels_by_client.draw,
}

STUDY_FIGURES: dict[str, Callable[[Config, Tables], Figure | None]] = {
    "sensitivity": sensitivity.draw,
    "cost_by_round": cost_by_round.draw_study,
    "precision_tree": precision_tree.draw_study,
    "layer_breakdown": layer_breakdown.draw,
    "layer_bits": layer_bits.draw,
    "front": front.draw,
    "labels_by_client": labels_by_client.draw_study,
}

# Of an experiment over several seeds or points, from its table `comparison`.
COMPARISON_FIGURES: dict[str, Callable[[Config, Tables], Figure | None]] = {
    "sweep": sweep.draw,
    "accuracy_by_payload": tradeoff.draw_payload,
    "accuracy_by_energy": tradeoff.draw_energy,
    "accuracy_by_latency": tradeoff.draw_latency,
    "accuracy_by_area": tradeoff.draw_area,
}

# While texts are made and drawn, also those of axes.
_NAMES_ARE_DATA = functools.partial(matplotlib.rc_context, {"text.parse_math": False})

# Of the same experiment, from the runs of all seeds.
SEEDS_FIGURES = {
    "accuracy_by_time": functools.partial(accuracy_by_time.draw, over_seeds=True),
    "accuracy_by_energy_used": functools.partial(accuracy_by_energy_used.draw, over_seeds=True),
}

# What all of these are written as, in the folder `figures`.
FILES = tuple(f"{name}.png" for name in {*FIGURES, *STUDY_FIGURES, *COMPARISON_FIGURES, *SEEDS_FIGURES})


def save_all(runs: Mapping[str, Run], folder: str | Path) -> dict[str, Path]:
    """Write `folder`/figures/NAME.png of every figure that applies: caption -> path. Raises RecordError."""
    with _NAMES_ARE_DATA():
        return _save_drawn({name: draw(runs) for name, draw in FIGURES.items()}, folder)


def save_study(config: Config, tables: Tables, folder: str | Path) -> dict[str, Path]:
    """The same for the tables of a study, of which `config` is the record."""
    with _NAMES_ARE_DATA():
        return _save_drawn({name: draw(config, tables) for name, draw in STUDY_FIGURES.items()}, folder)


def save_comparison(config: Config, tables: Tables, runs: Mapping[str, Run], folder: str | Path) -> dict[str, Path]:
    """Draw the comparison of an experiment over several seeds or points, as `save_all` does an experiment of arms.

    Args:
      config: the experiment's recorded config.
      tables: the table `comparison`, by its name.
      runs: the records of all seeds and arms, by "SEED/ARM".
      folder: the experiment's folder.

    Returns:
      caption -> path, of every figure that applies.

    Raises:
      RecordError: a figure cannot be written.
    """
    with _NAMES_ARE_DATA():
        drawn = {name: draw(config, tables) for name, draw in COMPARISON_FIGURES.items()}
        return _save_drawn(drawn | {name: draw(runs) for name, draw in SEEDS_FIGURES.items()}, folder)


def _save_drawn(drawn: Mapping[str, Figure | None], folder: str | Path) -> dict[str, Path]:
    return {str(figure.get_label()): _save(figure, name, folder) for name, figure in drawn.items() if figure}


def _save(figure: Figure, name: str, folder: str | Path) -> Path:
    png, path = io.BytesIO(), Path(folder) / "figures" / f"{name}.png"
    figure.savefig(png, format="png", metadata={"Software": None})  # equal figures are equal bytes
    files.write(path, png.getvalue())
    return path

"""Test accuracy after each round, one line an arm."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from halo_jax.figures.base import arm_name, by_round, canvas, legend_beside, style
from halo_jax.record import Run

_BELOW = 3  # arms whose names fit below the axes


def draw(runs: Mapping[str, Run]) -> Figure | None:
    """Draw the arms that were evaluated at least once; None if there is none."""
    shown = {arm: run for arm, run in runs.items() if np.isfinite(run.rounds["accuracy"]).any()}
    if not shown:
        return None
    caption = "Accuracy of the server's model on the test split after each round, one line an arm."
    configs = [run.config for run in shown.values()]
    beside = len(shown) > _BELOW
    figure, grid = canvas("Test accuracy by round", caption, configs, (1, 1), (9.5, 5) if beside else (7.5, 4.2))
    axes = grid[0, 0]
    for i, (arm, run) in enumerate(shown.items()):
        evaluated = np.isfinite(run.rounds["accuracy"])
        rounds, accuracy = run.rounds["round"][evaluated], run.rounds["accuracy"][evaluated]
        every = max(1, len(rounds) // 8)
        axes.plot(
            rounds,
            100 * accuracy,
            label=f"{arm_name(arm)} ({100 * accuracy[-1]:.2f} %)",
            markevery=(i % 5 * every // 5, every),
            markersize=4.5,
            linewidth=1.4,
            **style(i),
        )
    by_round(axes)
    axes.set_ylabel("top-1 accuracy on the test split (%)")
    if beside:
        legend_beside(axes)
    else:
        figure.legend(loc="outside lower center", ncols=min(len(shown), 3), frameon=False, fontsize=9)
    return figure

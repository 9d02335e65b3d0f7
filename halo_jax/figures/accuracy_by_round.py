"""Test accuracy after each round, one line an arm."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from halo_jax.figures.base import STYLES, arm_name, by_round, canvas
from halo_jax.record import Run


def draw(runs: Mapping[str, Run]) -> Figure | None:
    """Draw the arms that were evaluated at least once; None if there is none."""
    shown = {arm: run for arm, run in runs.items() if np.isfinite(run.rounds["accuracy"]).any()}
    if not shown:
        return None
    caption = "Accuracy of the server's model on the test split after each round, one line an arm."
    configs = [run.config for run in shown.values()]
    figure, grid = canvas("Test accuracy by round", caption, configs, (1, 1), (7.5, 4.2))
    axes = grid[0, 0]
    for i, (arm, run) in enumerate(shown.items()):
        evaluated = np.isfinite(run.rounds["accuracy"])
        rounds, accuracy = run.rounds["round"][evaluated], run.rounds["accuracy"][evaluated]
        every = max(1, len(rounds) // 8)
        axes.plot(
            rounds,
            100 * accuracy,
            label=f"{arm_name(arm)} ({100 * accuracy[-1]:.2f} %)",
            markevery=(i * every // len(STYLES), every),
            markersize=4.5,
            linewidth=1.4,
            **STYLES[i % len(STYLES)],
        )
    by_round(axes)
    axes.set_ylabel("top-1 accuracy on the test split (%)")
    figure.legend(loc="outside lower center", ncols=min(len(shown), 3), frameon=False, fontsize=9)
    return figure

"""Test accuracy after each round, one line an arm."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from halo_jax.figures.base import accuracy_against, by_round
from halo_jax.records.run_folder import Run


def draw(runs: Mapping[str, Run]) -> Figure | None:
    """Draw the arms that were evaluated at least once; None if there is none."""
    caption = "Accuracy of the server's model on the test split after each round, one line an arm."
    figure = accuracy_against(runs, lambda run: run.rounds["round"], "Test accuracy by round", caption)
    if figure:
        by_round(figure.axes[0])
    return figure

"""Energy to accuracy: test accuracy against joules, one line an arm; of several seeds, their mean and a band."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from halo_jax.figures.base import accuracy_against, from_zero
from halo_jax.records.run_folder import Run


def draw(runs: Mapping[str, Run], over_seeds: bool = False) -> Figure | None:
    """Draw the arms that were evaluated at least once; None if there is none."""
    caption = (
        "Accuracy of the server's model on the test split against the energy that all clients have spent on training "
        "so far, by the cost model; what their radios take is not in it."
    )
    title = "Test accuracy by energy used"
    figure = accuracy_against(runs, lambda run: run.rounds["energy_joule"].cumsum(), title, caption, over_seeds)
    if figure:
        from_zero(figure.axes[0], "energy of training, all clients (J)")
    return figure

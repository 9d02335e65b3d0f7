"""Time to accuracy: test accuracy against virtual seconds, one line an arm; of several seeds, their mean and a band."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from halo_jax.figures.base import accuracy_against, from_zero
from halo_jax.records.run_folder import Run

LABEL = "virtual time, s ({} latency per sample x samples, plus links)"
CHIPS = {"halosim": "HaLoSim"}  # what a platform is called, where not by its own name


def draw(runs: Mapping[str, Run], over_seeds: bool = False) -> Figure | None:
    """Draw the arms that were evaluated at least once; None if there is none."""
    caption = (
        "Accuracy of the server's model on the test split against the time of all rounds so far, by the virtual clock: "
        "a round takes as long as its slowest client, or its deadline. Latencies are those of the chip per sample, "
        "as in Table II of the paper."
    )
    title = "Test accuracy by virtual time"
    figure = accuracy_against(runs, lambda run: run.rounds["virtual_seconds"].cumsum(), title, caption, over_seeds)
    if figure:
        names: list[str] = [run.config["hardware"]["name"] for run in runs.values()]
        chips = dict.fromkeys(CHIPS.get(name, name) for name in names)
        from_zero(figure.axes[0], LABEL.format(" / ".join(chips)))
    return figure

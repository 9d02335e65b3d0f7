"""The figures: each draws a matplotlib figure from records alone, or returns None where it does not apply.

To add one, write `figures/NAME.py` with `draw(runs)` and list it here; `runs` maps an arm to its records.
"""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.figure import Figure

from halo_jax import record
from halo_jax.figures import accuracy_by_round, cost_by_round, precision_tree
from halo_jax.record import Run

FIGURES: dict[str, Callable[[Mapping[str, Run]], Figure | None]] = {
    "accuracy_by_round": accuracy_by_round.draw,
    "cost_by_round": cost_by_round.draw,
    "precision_tree": precision_tree.draw,
}


def save_all(runs: Mapping[str, Run], folder: str | Path) -> dict[str, Path]:
    """Write `folder`/figures/NAME.png of every figure that applies: caption -> path. Raises RecordError."""
    saved = {}
    for name, draw in FIGURES.items():
        figure = draw(runs)
        if figure is not None:
            png = io.BytesIO()
            figure.savefig(png, format="png", metadata={"Software": None})  # equal figures are equal bytes
            saved[figure.get_label()] = Path(folder) / "figures" / f"{name}.png"
            record.write(saved[figure.get_label()], png.getvalue())
    return saved

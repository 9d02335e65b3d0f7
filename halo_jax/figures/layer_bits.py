"""One precision per layer: the bits of weights, activations and errors of every layer."""

import numpy as np
from matplotlib.figure import Figure

from halo_jax.figures.base import FILLS, by_layer, canvas, layer_bars, layers_wide, legend_beside
from halo_jax.figures.series import Config, Tables, texts


def draw(config: Config, tables: Tables) -> Figure | None:
    """Draw three bars for each layer; None without the table `per_layer`."""
    rows = tables.get("per_layer")
    if not rows:
        return None
    caption = "Bits of weights, activations and errors in each layer."
    figure, grid = canvas("Precision by layer", caption, [config], (1, 1), (layers_wide(len(rows["layer"])), 3.6))
    axes = grid[0, 0]
    by_layer(axes, texts(rows["name"]))
    layer_bars(axes, {dimension: (rows[f"{dimension}_bits"], fill) for dimension, fill in FILLS.items()})
    most = max(8, *(rows[f"{dimension}_bits"].max() for dimension in FILLS))
    axes.set(ylabel="precision (bits)", ylim=(0, most + 0.4), yticks=np.arange(0, most + 1, 2))
    legend_beside(axes)
    return figure

"""The table of labels for a terminal: how many images of each class every client holds."""

import numpy as np
from rich.table import Table

from halo_jax.records.label_counts import Holding, holdings, rows
from halo_jax.records.units import quantity_of, unit_of
from halo_jax.reporting.numbers import shown
from halo_jax.reporting.terminal import Column, draw_table

MOST_CLIENTS, MOST_CLASSES = 20, 10  # that a terminal shows in full


def render(counts: np.ndarray) -> Table:
    """Draw counts `[N, K]` in 80 columns: in full for 20 clients and 10 classes at most, else in short."""
    clients, classes = counts.shape
    if clients <= MOST_CLIENTS and classes <= MOST_CLASSES:
        columns = [Column(head) for head in ("client", "images", *map(str, range(classes)))]
        cells = [[shown(count) for count in row] for row in rows(counts)]
        return draw_table(columns, cells, title="Images by client and class", narrow=True)
    columns = [Column(f"{quantity_of(name)} {unit_of(name)}".rstrip()) for name in Holding._fields]
    cells = [
        [*map(shown, holding[:-1]), shown(holding.largest_percent, ".1f")]
        for holding in holdings(counts)[:MOST_CLIENTS]
    ]
    more = f"{clients - MOST_CLIENTS} more clients in labels.csv" if clients > MOST_CLIENTS else ""
    title = "Images by client, and how many classes they are of"
    return draw_table(columns, cells, title=title, caption=more, narrow=True)

"""The table of labels: how many training images of each class every client holds, as counts int64 `[N, K]`."""

import collections
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.table import Table

MOST_CLIENTS, MOST_CLASSES = 20, 10  # that a terminal shows in full


class Holding(NamedTuple):
    """What one client holds, in short."""

    client: int  # from 0
    images: int
    classes: int  # of which it has images
    largest_class: int
    largest_percent: float  # the share of that class in its images


def count(labels: np.ndarray, indices: np.ndarray, mask: np.ndarray, num_classes: int) -> np.ndarray:
    """Count `labels` int `[D]` by client and class: client n holds the images `indices[n][mask[n]]`, `[N, M]` both."""
    clients = np.nonzero(mask)[0]
    cells = clients * num_classes + labels[indices[mask]]
    return np.bincount(cells, minlength=len(mask) * num_classes).reshape(len(mask), num_classes)


def rows(counts: np.ndarray) -> list[Any]:
    """A row for each client with the fields `client`, `images`, `class_0`, `class_1`, ..., as in `labels.csv`."""
    row = collections.namedtuple("LabelRow", ["client", "images", *(f"class_{k}" for k in range(counts.shape[1]))])
    return [row(client, sum(own), *own) for client, own in enumerate(counts.tolist())]


def holdings(counts: np.ndarray) -> list[Holding]:
    """What each client holds, in short."""
    each = zip(counts.sum(1).tolist(), (counts > 0).sum(1).tolist(), counts.argmax(1).tolist(), strict=True)
    return [
        Holding(client, images, classes, largest, 100 * int(counts[client, largest]) / max(images, 1))
        for client, (images, classes, largest) in enumerate(each)
    ]


def class_accuracy(right: np.ndarray, test_labels: np.ndarray) -> list[float]:
    """The accuracy on each class, `[K]`, of `right` answers `[K]`; NaN for a class without test images."""
    totals = np.bincount(test_labels, minlength=len(right)).tolist()
    return [int(own) / total if total else math.nan for own, total in zip(right, totals, strict=True)]


def client_accuracy(counts: np.ndarray, accuracy: Sequence[float]) -> list[float]:
    """What each client may expect of the model on images like its own: sum_k share_k * accuracy_k, `[N]`.

    `share_k` is that of class k in the client's training images. Classes without test images are left out; NaN for a
    client that holds no others.
    """
    # fsum rounds once: a sum of floats by NumPy would depend on the CPU's vector width.
    known = [(k, one) for k, one in enumerate(accuracy) if not math.isnan(one)]
    found = []
    for own in counts.tolist():
        total = sum(own[k] for k, _ in known)
        found.append(math.fsum(own[k] * one for k, one in known) / total if total else math.nan)
    return found


def render(counts: np.ndarray) -> Table:
    """The table for a terminal of 80 columns: in full for 20 clients and 10 classes at most, else in short."""
    if len(counts) <= MOST_CLIENTS and counts.shape[1] <= MOST_CLASSES:
        heads = ["client", "images", *map(str, range(counts.shape[1]))]
        return _draw("Images by client and class", heads, rows(counts))
    heads = [name.replace("_percent", " %").replace("_", " ") for name in Holding._fields]
    short = [(*holding[:4], f"{holding.largest_percent:.1f}") for holding in holdings(counts)[:MOST_CLIENTS]]
    drawn = _draw("Images by client, and how many classes they are of", heads, short)
    if len(counts) > MOST_CLIENTS:
        drawn.caption = f"{len(counts) - MOST_CLIENTS} more clients in labels.csv"
    return drawn


def _draw(title: str, heads: Sequence[str], cells: Sequence[Sequence[Any]]) -> Table:
    drawn = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for head in heads:
        drawn.add_column(head, justify="right", no_wrap=True)
    for row in cells:
        drawn.add_row(*map(str, row))
    return drawn

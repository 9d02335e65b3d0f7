"""The table of labels: how many training images of each class every client holds, as counts int64 `[N, K]`."""

import collections
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Holding(NamedTuple):
    """What one client holds, in short."""

    client: int  # from 0
    images: int
    classes: int  # of which it has images
    largest_class: int
    largest_percent: float  # the share of that class in its images


def count(labels: np.ndarray, indices: np.ndarray, mask: np.ndarray, num_classes: int) -> np.ndarray:
    """Count labels by client and class.

    Args:
      labels: of all training images, int `[D]`.
      indices: the images of each client, int `[N, M]`.
      mask: which of these places hold an image, bool `[N, M]`.
      num_classes: K.

    Returns:
      int64 `[N, K]`.
    """
    clients = np.nonzero(mask)[0]
    cells = clients * num_classes + labels[indices[mask]]
    return np.bincount(cells, minlength=len(mask) * num_classes).reshape(len(mask), num_classes)


def rows(counts: np.ndarray) -> list[Any]:
    """A row for each client with the fields `client`, `images`, `class_0`, `class_1`, ..., as in `labels.csv`."""
    row = collections.namedtuple("LabelRow", ["client", "images", *(f"class_{k}" for k in range(counts.shape[1]))])
    return [row(client, sum(images), *images) for client, images in enumerate(counts.tolist())]


def holdings(counts: np.ndarray) -> list[Holding]:
    """What each client holds, in short."""
    columns = counts.sum(1).tolist(), (counts > 0).sum(1).tolist(), counts.argmax(1).tolist()
    return [
        Holding(client, images, classes, largest, 100 * int(counts[client, largest]) / max(images, 1))
        for client, (images, classes, largest) in enumerate(zip(*columns, strict=True))
    ]


def class_accuracy(right: np.ndarray, test_labels: np.ndarray) -> list[float]:
    """The accuracy on each class, `[K]`, of `right` answers `[K]`; NaN for a class without test images."""
    totals = np.bincount(test_labels, minlength=len(right)).tolist()
    return [int(correct) / total if total else math.nan for correct, total in zip(right, totals, strict=True)]


def client_accuracy(counts: np.ndarray, accuracy: Sequence[float]) -> list[float]:
    """What each client may expect of the model on images like its own: sum_k share_k * accuracy_k, `[N]`.

    `share_k` is that of class k in the client's training images. Classes without test images are left out; NaN for a
    client that holds no others.
    """
    # fsum rounds once: a sum of floats by NumPy would depend on the CPU's vector width.
    tested = [k for k, of_class in enumerate(accuracy) if not math.isnan(of_class)]
    expected = []
    for images in counts.tolist():
        total = sum(images[k] for k in tested)
        expected.append(math.fsum(images[k] * accuracy[k] for k in tested) / total if total else math.nan)
    return expected

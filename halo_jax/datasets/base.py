"""What a data set is: arrays of small images, resident in memory or made from their numbers."""

from typing import Any, NamedTuple

import numpy as np


class Dataset(NamedTuple):
    """Images and labels of both splits.

    `train_images` uint8 `[D, H, W, C]`, `train_labels` int32 `[D]` in `[0, num_classes)`; the same for test.
    `train_images` may also be a pytree that reads like such an array and makes images when it is indexed
    (`generated.py`): then `first(count)` gives fewer of them.
    """

    train_images: Any
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    num_classes: int


class DatasetError(ValueError):
    """The data are missing or wrong; the message is one line that says what, where, and what to do."""

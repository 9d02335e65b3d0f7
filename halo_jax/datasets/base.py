"""What a data set is: arrays of small images, resident in memory or made from their numbers."""

from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np


class Dataset(NamedTuple):
    """Images and labels of both splits.

    `train_images` uint8 `[D, H, W, C]`, `train_labels` int32 `[D]` in `[0, num_classes)`; the same for test.
    `train_images` may also be a pytree that reads like such an array and makes images when it is indexed
    (`generated.py`): then `first(count)` gives fewer of them. `train_writers` int32 `[D]`: who wrote (drew, took)
    each training image, where the files say so.
    """

    train_images: Any
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    num_classes: int
    train_writers: np.ndarray | None = None


class DatasetError(ValueError):
    """The data are missing or wrong; the message is one line that says what, where, and what to do."""


def fault(place: Path | str, found: str, right: str) -> NoReturn:
    """Raise DatasetError: what was found in a file or folder, and what is right."""
    raise DatasetError(f"{place}: found {found}; right: {right}")


def one_line(error: Exception) -> str:
    """The first line of an error of a library, or its kind if it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__

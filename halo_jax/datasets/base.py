"""What a data set is: arrays of small images, resident in memory or made from their numbers; and how large it may be.

Data come from strangers, so a reader knows from names, headers and sizes how much it is going to read, and refuses more
than the limits here before it takes the memory. They leave room for the sets of the field and for one's own of some GB.
"""

import math
import os
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from halo_jax.runtime.visible import visible

MOST_BYTES = 2**34  # of all images: 16 GiB. Tiny ImageNet has 1.4 GB, EMNIST's byclass 0.6 GB.
MOST_CLASSES = 2**16  # each is an output of the network; all of ImageNet has 21,841
MOST_PIXELS = 2**22  # of an image: 2048x2048
MOST_TEXT = 2**20  # bytes of a table or description; the longest that is published has half of that
_LABEL = 16  # bytes of a label and what is made of it
_LONGEST = 300  # characters of what was found that are shown


class Dataset(NamedTuple):
    """Images and labels of both splits: what a loader returns, and what `run` takes as arrays of a user's own.

    The types are those that loaders keep to. `run` takes lists and JAX's arrays, too, whole numbers of any type, and
    images `[D, H, W]` of one channel.

    Attributes:
      train_images: uint8 `[D, H, W, C]`, or a pytree that reads like such an array and makes images when it is indexed
        (`generated.py`): then `first(count)` gives fewer of them.
      train_labels: int32 `[D]` in `[0, num_classes)`.
      test_images: uint8 `[T, H, W, C]`.
      test_labels: int32 `[T]` in `[0, num_classes)`.
      num_classes: K, the outputs of the network.
      train_writers: int32 `[D]`, who wrote (drew, took) each training image, where that is known.
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
    """Raise DatasetError: what was found in a file or folder, and what is right; in printable characters, not many."""
    raise DatasetError(f"{visible(place)}: found {visible(found):.{_LONGEST}}; right: {visible(right):.{_LONGEST}}")


def one_line(error: Exception) -> str:
    """The first line of an error of a library, or its kind if it says nothing; in printable characters, not many."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{visible(next(iter(said.splitlines()), '') or type(error).__name__):.{_LONGEST}}"


def check_size(place: Path | str, *shapes: tuple[int, ...]) -> None:
    """Raise DatasetError if images of these shapes `[D, ...]`, a byte a number, are more than is read in all.

    That is MOST_BYTES, and half of the machine's memory: images are copied where they are turned or shuffled.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = min(MOST_BYTES, memory // 2)
    found = sum(math.prod(max(size, 1) for size in shape) + _LABEL * shape[0] for shape in shapes)
    if found > most:
        fault(place, f"images and labels of {found} bytes", f"at most {most} bytes on this machine")


def check_classes(place: Path | str, count: int) -> None:
    """Raise DatasetError if there are more classes than MOST_CLASSES."""
    if count > MOST_CLASSES:
        fault(place, f"{count} classes", f"at most {MOST_CLASSES}")

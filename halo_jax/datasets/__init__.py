"""Data sets by name: each is one file with `load(data_dir="") -> Dataset`, and one line in `DATASETS`.

A data set with variants, named like `emnist/letters`, has a parameter `variant` too, and lists them in `VARIANTS`.
"""

from typing import Any

import numpy as np

from halo_jax.datasets import (
    cifar10,
    digits,
    emnist,
    fashion_mnist,
    generated,
    image_folder,
    mnist,
    npz,
    synthetic,
    tiny_imagenet,
)
from halo_jax.datasets.arrays import of_arrays
from halo_jax.datasets.base import Dataset, DatasetError, one_line
from halo_jax.runtime.visible import visible

__all__ = ["DATASETS", "MEMORY", "VARIANTS", "Dataset", "DatasetError", "check_name", "keep", "load", "of_arrays"]

MEMORY = "memory"  # what a config calls arrays that were given to `run`, which no loader finds again

DATASETS = {
    "cifar10": cifar10.load,
    "digits": digits.load,
    "emnist": emnist.load,
    "fashion_mnist": fashion_mnist.load,
    "generated": generated.load,
    "image_folder": image_folder.load,
    "mnist": mnist.load,
    "npz": npz.load,
    "synthetic": synthetic.load,
    "tiny_imagenet": tiny_imagenet.load,
}
VARIANTS = {"emnist": emnist.VARIANTS}


def check_name(name: str) -> None:
    """Raise ValueError, one line, unless `name` is a data set, one with a variant like `emnist/letters`, or MEMORY."""
    base, slash, variant = name.partition("/")
    if base not in DATASETS and name != MEMORY:
        raise ValueError(f"dataset={name!r}; known: {', '.join(DATASETS)}")
    if slash and base not in VARIANTS:
        raise ValueError(f"dataset={name!r}; {base} has no variants")
    if slash and variant not in VARIANTS[base]:
        raise ValueError(f"dataset={name!r}; known variants of {base}: {', '.join(VARIANTS[base])}")


def load(
    name: str, data_dir: str = "", train_examples: int = 0, test_examples: int = 0, validation_examples: int = 0
) -> Dataset:
    """Load the data set `name`, check it, and keep a part of it.

    Args:
      name: of DATASETS, with a variant where the data set has some: `emnist/letters`.
      data_dir: where its files lie; empty: the usual places.
      train_examples: as `keep` takes it.
      test_examples: as `keep` takes it.
      validation_examples: as `keep` takes it.

    Returns:
      The data set, as `keep` returns it.

    Raises:
      ValueError: the name is unknown, one line.
      DatasetError: the data are missing, wrong or fewer than asked for, one line.
    """
    check_name(name)
    base, _, variant = name.partition("/")
    if base not in DATASETS:
        right = "the same arrays again, hj.run(config, workdir, dataset=hj.Dataset(...))"
        raise DatasetError(f"dataset={name!r} names arrays that were in memory, and no file; right: {right}")
    try:
        full = DATASETS[base](data_dir, **({"variant": variant} if variant else {}))
    except OSError as error:  # a folder or a file that cannot be read
        raise DatasetError(f"{visible(error.filename or data_dir or name)}: {one_line(error)}") from error
    except MemoryError as error:
        raise DatasetError(f"{visible(data_dir or name)}: it does not fit into this machine's memory") from error
    return keep(name, full, train_examples, test_examples, validation_examples)


def keep(
    name: str, full: Dataset, train_examples: int = 0, test_examples: int = 0, validation_examples: int = 0
) -> Dataset:
    """Check a data set, and keep the first `train_examples` and `test_examples` of it.

    "First" is in a fixed shuffle that does not depend on the experiment's seed, so runs of different seeds see the same
    images, and a larger number only adds some.

    Args:
      name: what lines about it call it.
      full: all of it.
      train_examples: images to train on; 0 keeps all, in their order.
      test_examples: images to test on; 0 keeps all, in their order.
      validation_examples: where not 0, the test split is not touched: the next so many training images (the last, if
        `train_examples` is 0) are held out and take its place.

    Returns:
      The part, of the same classes.

    Raises:
      DatasetError: the arrays are wrong, or fewer than asked for, one line.
    """
    if full.train_images.shape[1:] != full.test_images.shape[1:]:
        found = f"{full.train_images.shape[1:]} for train, {full.test_images.shape[1:]} for test"
        raise DatasetError(f"{name}: found images of {found}; right: one shape")
    _check(f"{name} train", full.train_images, full.train_labels, full.num_classes)
    _check_writers(f"{name} train", full)
    if validation_examples:
        return _hold_out(f"{name} train", full, train_examples, validation_examples)
    _check(f"{name} test", full.test_images, full.test_labels, full.num_classes)
    images, labels, writers = _first(f"{name} train", train_examples, *_training(full))
    test_images, test_labels = _first(f"{name} test", test_examples, full.test_images, full.test_labels)
    return Dataset(images, labels, test_images, test_labels, full.num_classes, writers)


def _training(full: Dataset) -> tuple[Any, np.ndarray, np.ndarray | None]:
    return full.train_images, full.train_labels, full.train_writers


def _hold_out(split: str, full: Dataset, train_examples: int, count: int) -> Dataset:
    """The training images, and in place of the test split the `count` that follow them in the fixed shuffle."""
    train_examples = train_examples or len(full.train_labels) - count
    if not isinstance(full.train_images, np.ndarray) or train_examples < 1:
        right = "fewer than there are, of a data set that is stored"
        raise DatasetError(f"{split}: {count} validation images asked for; right: {right}")
    images, labels, writers = _first(split, train_examples + count, *_training(full))
    train, held = slice(train_examples), slice(train_examples, None)
    writers = None if writers is None else writers[train]
    return Dataset(images[train], labels[train], images[held], labels[held], full.num_classes, writers)


def _first(split: str, count: int, images: Any, *columns: np.ndarray | None) -> tuple[Any, ...]:
    """The first `count` of a fixed shuffle, or all as they are stored if `count` is 0; columns keep in step."""
    if not 0 <= count <= images.shape[0]:
        raise DatasetError(f"{split}: {count} examples asked for; right: 0 to the {images.shape[0]} there are")
    if count == 0:
        return images, *columns
    if not isinstance(images, np.ndarray):
        return images.first(count), *(column if column is None else column[:count] for column in columns)
    first = np.random.default_rng(0).permutation(len(images))[:count]
    return images[first], *(column if column is None else column[first] for column in columns)


def _check(split: str, images: Any, labels: np.ndarray, num_classes: int) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
        raise DatasetError(f"{split}: found images {images.dtype} {images.shape}; right: uint8 [D, H, W, C]")
    if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
        right = f"int32 {images.shape[:1]}, one per image"
        raise DatasetError(f"{split}: found labels {labels.dtype} {labels.shape}; right: {right}")
    low, high = labels.min(), labels.max()
    if low < 0 or high >= num_classes:
        raise DatasetError(f"{split}: found labels from {low} to {high}; right: 0 to {num_classes - 1}")


def _check_writers(split: str, full: Dataset) -> None:
    writers = full.train_writers
    if writers is not None and (writers.dtype != np.int32 or writers.shape != full.train_labels.shape):
        right = f"int32 {full.train_labels.shape}, one per image"
        raise DatasetError(f"{split}: found writers {writers.dtype} {writers.shape}; right: {right}")

"""Data sets by name: each is one file with `load(data_dir="") -> Dataset`, and one line in `DATASETS`."""

from typing import Any

import numpy as np

from halo_jax.datasets import digits, fashion_mnist, generated, mnist, synthetic
from halo_jax.datasets.base import Dataset, DatasetError

__all__ = ["DATASETS", "Dataset", "DatasetError", "load"]

DATASETS = {
    "digits": digits.load,
    "fashion_mnist": fashion_mnist.load,
    "generated": generated.load,
    "mnist": mnist.load,
    "synthetic": synthetic.load,
}


def load(
    name: str, data_dir: str = "", train_examples: int = 0, test_examples: int = 0, validation_examples: int = 0
) -> Dataset:
    """Load `DATASETS[name]`, check it, and keep the first `train_examples` and `test_examples`; 0 keeps all.

    With `validation_examples` the test split is not touched: the next so many training images (the last, if
    `train_examples` is 0) are held out and take its place.

    "First" is in a fixed shuffle that does not depend on the experiment's seed, so runs of different seeds
    see the same images and a larger number only adds some. Raises ValueError for an unknown name and
    DatasetError for data that are missing, wrong or fewer than asked for; one line each.
    """
    if name not in DATASETS:
        raise ValueError(f"dataset {name!r} is unknown; known: {', '.join(DATASETS)}")
    try:
        full = DATASETS[name](data_dir)
    except OSError as error:  # a folder or a file that cannot be read
        raise DatasetError(f"{error.filename or data_dir or name}: {error.strerror or error}") from error
    if full.train_images.shape[1:] != full.test_images.shape[1:]:
        found = f"{full.train_images.shape[1:]} for train, {full.test_images.shape[1:]} for test"
        raise DatasetError(f"{name}: found images of {found}; right: one shape")
    train_split = f"{name} train", full.train_images, full.train_labels, full.num_classes
    if validation_examples:
        return _hold_out(*train_split, train_examples, validation_examples)
    train = _take(*train_split, train_examples)
    test = _take(f"{name} test", full.test_images, full.test_labels, full.num_classes, test_examples)
    return Dataset(*train, *test, full.num_classes)


def _hold_out(
    split: str, images: Any, labels: np.ndarray, num_classes: int, train_examples: int, count: int
) -> Dataset:
    """The training images, and in place of the test split the `count` that follow them in the fixed shuffle."""
    train_examples = train_examples or len(labels) - count
    if not isinstance(images, np.ndarray) or train_examples < 1:
        right = "fewer than there are, of a data set that is stored"
        raise DatasetError(f"{split}: {count} validation images asked for; right: {right}")
    images, labels = _take(split, images, labels, num_classes, train_examples + count)
    ends = slice(train_examples), slice(train_examples, None)
    return Dataset(images[ends[0]], labels[ends[0]], images[ends[1]], labels[ends[1]], num_classes)


def _take(split: str, images: Any, labels: np.ndarray, num_classes: int, count: int) -> tuple[Any, np.ndarray]:
    """The first `count` of a fixed shuffle, or all as they are stored if `count` is 0."""
    _check(split, images, labels, num_classes)
    if not 0 <= count <= len(labels):
        raise DatasetError(f"{split}: {count} examples asked for; right: 0 to the {len(labels)} there are")
    if count == 0:
        return images, labels
    if not isinstance(images, np.ndarray):
        return images.first(count), labels[:count]
    first = np.random.default_rng(0).permutation(len(labels))[:count]
    return images[first], labels[first]


def _check(split: str, images: Any, labels: np.ndarray, num_classes: int) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
        raise DatasetError(f"{split}: found images {images.dtype} {images.shape}; right: uint8 [D, H, W, C]")
    if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
        right = f"int32 {images.shape[:1]}, one per image"
        raise DatasetError(f"{split}: found labels {labels.dtype} {labels.shape}; right: {right}")
    low, high = labels.min(), labels.max()
    if low < 0 or high >= num_classes:
        raise DatasetError(f"{split}: found labels from {low} to {high}; right: 0 to {num_classes - 1}")

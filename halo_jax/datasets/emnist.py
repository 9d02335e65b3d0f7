"""EMNIST: handwritten digits and letters in MNIST's form, in six variants; the paper's second data set.

    --config.dataset=emnist            47 classes, `balanced`
    --config.dataset=emnist/letters    26 classes; others: byclass, bymerge, digits, mnist

Source: Cohen, Afshar, Tapson and van Schaik, "EMNIST: an extension of MNIST to handwritten letters",
arXiv:1702.05373, 2017; https://www.nist.gov/itl/products-and-services/emnist-dataset has its files.
"""

from functools import partial
from pathlib import Path

import numpy as np

from halo_jax.datasets import idx, matlab
from halo_jax.datasets.base import Dataset, fault
from halo_jax.datasets.places import search
from halo_jax.datasets.shapes import EMNIST_CLASSES

VARIANTS = tuple(EMNIST_CLASSES)
DEFAULT_VARIANT = "balanced"


def load(data_dir: str = "", variant: str = DEFAULT_VARIANT) -> Dataset:
    """Load a variant of EMNIST: uint8 `[D, 28, 28, 1]`, from `data_dir` or the usual places.

    Those are `data/emnist` and the default folder of tensorflow_datasets. The form is Matlab files, IDX files (both as
    published, also in the folders `matlab` and `gzip` that their archives hold), or files of tensorflow_datasets.
    Matlab files say who wrote each image, so they come first. Raises DatasetError, one line, if it is nowhere (with
    the command that gets it) or broken.
    """
    forms = "Matlab or IDX files"
    return search(f"emnist/{variant}", data_dir, forms, partial(_read, variant), finish=partial(_finish, variant))


def _read(variant: str, place: Path) -> Dataset | None:
    prefix, classes = f"emnist-{variant}", EMNIST_CLASSES[variant]
    for path in (place / f"{prefix}.mat", place / "matlab" / f"{prefix}.mat", place):
        if path.name == f"{prefix}.mat" and path.is_file():
            return matlab.read_dataset(path, classes)
    train, test = (
        (f"{prefix}-{split}-images-idx3-ubyte", f"{prefix}-{split}-labels-idx1-ubyte") for split in ("train", "test")
    )
    for folder in (place, place / "gzip"):
        if idx.present(folder, (train, test)):
            return idx.read_dataset(folder, classes, (train, test))
    return None


def _finish(variant: str, dataset: Dataset, place: Path) -> Dataset:
    """Images upright and labels from 0: in all forms the images are transposed and the letters are 1 to 26."""
    classes, first = EMNIST_CLASSES[variant], int(variant == "letters")
    for split, labels in (("train", dataset.train_labels), ("test", dataset.test_labels)):
        if labels.size and not first <= labels.min() <= labels.max() < first + classes:
            wrong = f"labels from {labels.min()} to {labels.max()} in {split}"
            fault(place, wrong, f"{first} to {first + classes - 1}")
    return dataset._replace(
        train_images=_upright(dataset.train_images),
        train_labels=dataset.train_labels - np.int32(first),
        test_images=_upright(dataset.test_images),
        test_labels=dataset.test_labels - np.int32(first),
        num_classes=classes,  # tensorflow_datasets says 37 for the 26 letters
    )


def _upright(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.swapaxes(1, 2))

"""Tiny ImageNet: 110,000 photographs of 200 kinds of things, 64x64 in colour; the paper's third data set.

Source: Stanford's course CS231n, http://cs231n.stanford.edu/tiny-imagenet-200.zip; Le and Yang, "Tiny ImageNet visual
recognition challenge", 2015.
"""

from pathlib import Path

import numpy as np

from halo_jax.datasets import tiny_imagenet_files
from halo_jax.datasets.archives import Files
from halo_jax.datasets.base import Dataset, check_size
from halo_jax.datasets.places import search


def load(data_dir: str = "") -> Dataset:
    """Load Tiny ImageNet: uint8 `[D, 64, 64, 3]`, its validation split to test on, from `data_dir` or the usual places.

    Those are `data/tiny_imagenet` and the default folder of tensorflow_datasets. The form is the published zip or the
    folder in it, or files of tensorflow_datasets. Raises DatasetError, one line, if it is nowhere (with the command
    that gets it) or broken.
    """
    return search("tiny_imagenet", data_dir, f"{tiny_imagenet_files.ARCHIVE} or the folder in it", _read)


def _read(place: Path) -> Dataset | None:
    files = tiny_imagenet_files.find(place)
    if files is None:
        return None
    totals = {split: tiny_imagenet_files.count(files, split) for split in ("train", "test")}
    check_size(files.path, *((total, *tiny_imagenet_files.IMAGE_SHAPE) for total in totals.values()))
    train, test = (_split(files, split, total) for split, total in totals.items())
    return Dataset(*train, *test, tiny_imagenet_files.NUM_CLASSES)


def _split(files: Files, split: str, total: int) -> tuple[np.ndarray, np.ndarray]:
    images, labels = np.empty((total, *tiny_imagenet_files.IMAGE_SHAPE), np.uint8), np.empty(total, np.int32)
    for number, (_, image, label) in enumerate(tiny_imagenet_files.examples(files, split)):
        images[number], labels[number] = image, label
    return images, labels

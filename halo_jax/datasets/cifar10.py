"""CIFAR-10: 60,000 photographs of ten kinds of things, 32x32 in colour; the paper's first data set.

Source: Krizhevsky, "Learning multiple layers of features from tiny images", 2009;
https://www.cs.toronto.edu/~kriz/cifar.html describes both versions of the archive.
"""

from pathlib import Path

import numpy as np

from halo_jax.datasets import archives, tar
from halo_jax.datasets.archives import Files
from halo_jax.datasets.base import Dataset, fault
from halo_jax.datasets.places import search
from halo_jax.datasets.restricted_pickle import NotArrays, read_arrays

TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCHES = ("test_batch",)
NUM_CLASSES = 10
MOST_BATCH = 2**25  # bytes of a file; the published ones hold 10,000 images in 31 MB
_PIXELS = 3 * 32 * 32  # red, green, blue planes


def load(data_dir: str = "") -> Dataset:
    """Load CIFAR-10: uint8 `[D, 32, 32, 3]`, from `data_dir` or the usual places.

    Those are `data/cifar10` and the default folder of tensorflow_datasets. The form is the published archive, python or
    binary version, packed or not, or files of tensorflow_datasets. Raises DatasetError, one line, if it is nowhere
    (with the command that gets it) or broken.
    """
    return search("cifar10", data_dir, "the archive cifar-10-python.tar.gz or -binary", _read)


def _read(place: Path) -> Dataset | None:
    names = (*TRAIN_BATCHES, *TEST_BATCHES)
    binary, python = tar.Wanted([f"{name}.bin" for name in names], MOST_BATCH), tar.Wanted(names, MOST_BATCH)
    if files := archives.find(place, "cifar-10-batches-bin", "cifar-10-binary.tar.gz", binary):
        batch = _binary_batch
    elif files := archives.find(place, "cifar-10-batches-py", "cifar-10-python.tar.gz", python):
        batch = _python_batch
    else:
        return None
    splits = ([batch(files, name) for name in names] for names in (TRAIN_BATCHES, TEST_BATCHES))
    train, test = ([np.concatenate(arrays) for arrays in zip(*batches, strict=True)] for batches in splits)
    return Dataset(_upright(train[0]), train[1], _upright(test[0]), test[1], NUM_CLASSES)


def _upright(images: np.ndarray) -> np.ndarray:
    """Planes `[D, 3072]` -> images `[D, 32, 32, 3]`."""
    return np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _binary_batch(files: Files, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Planes uint8 `[D, 3072]`, labels int32 `[D]`: each image is one byte of label and its planes."""
    raw = files.read(f"{name}.bin", MOST_BATCH)
    if len(raw) % (1 + _PIXELS) or not raw:
        fault(files.path, f"{len(raw)} bytes in {name}.bin", f"a multiple of {1 + _PIXELS}; fetch it again")
    rows = np.frombuffer(raw, np.uint8).reshape(-1, 1 + _PIXELS)
    return rows[:, 1:], rows[:, 0].astype(np.int32)


def _python_batch(files: Files, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The same from the python version, a pickled dict with `data` and a list `labels`."""
    try:
        content = read_arrays(files.read(name, MOST_BATCH))
    except NotArrays as error:
        fault(files.path, f"that {name} cannot be read ({error})", "the python version as published; fetch it again")
    images, labels = content.get(b"data"), content.get(b"labels")
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != _PIXELS:
        wrong = f"data of {images.shape}" if isinstance(images, np.ndarray) else "no array data"
        fault(files.path, f"{wrong} in {name}", f"(images, {_PIXELS})")
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < NUM_CLASSES for label in labels):
        fault(files.path, f"no labels from 0 to {NUM_CLASSES - 1} in {name}", "a list of them, one per image")
    if len(labels) != len(images):
        fault(files.path, f"{len(labels)} labels in {name}", f"{len(images)}, one per image")
    return images, np.array(labels, np.int32)

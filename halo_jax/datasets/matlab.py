"""EMNIST's Matlab files: the same images as in its IDX files, and who wrote each.

A file holds a struct `dataset` with `train` and `test`, each with `images` uint8 `[D, 784]`, `labels` `[D, 1]` and
`writers` `[D, 1]`. Source: https://www.nist.gov/itl/products-and-services/emnist-dataset, "Matlab format dataset".
"""

from pathlib import Path

import numpy as np
import scipy.io

from halo_jax.datasets.base import Dataset, fault, one_line

_SIDE = 28
_INT32 = -(2**31), 2**31 - 1


def read_dataset(path: Path, num_classes: int) -> Dataset:
    """Read a file, images as they are stored: their rows are the columns of the upright images.

    Raises DatasetError, one line, if it is broken or holds something else.
    """
    try:
        content = scipy.io.loadmat(path, simplify_cells=True)  # structs as dicts, columns as vectors
    except Exception as error:  # scipy raises many kinds, and NotImplementedError for the HDF5 form
        fault(path, f"that it cannot be read ({one_line(error)})", "a whole Matlab 5 file; fetch it again")
    splits = content.get("dataset")
    if not isinstance(splits, dict) or not all(isinstance(splits.get(split), dict) for split in ("train", "test")):
        fault(path, "no struct dataset with train and test", "EMNIST's Matlab file")
    train, test = splits["train"], splits["test"]
    images, labels = _split(path, train, "train")
    writers = _whole(path, train, "train", "writers", len(images)) if "writers" in train else None
    return Dataset(images, labels, *_split(path, test, "test"), num_classes, writers)


def _split(path: Path, split: dict, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[D, 28, 28, 1]`, labels int32 `[D]`."""
    images = np.atleast_2d(split.get("images", ()))
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != _SIDE**2:
        fault(path, f"{name} images {images.dtype} {images.shape}", f"uint8 (images, {_SIDE**2})")
    return images.reshape(-1, _SIDE, _SIDE, 1), _whole(path, split, name, "labels", len(images))


def _whole(path: Path, split: dict, name: str, field: str, count: int) -> np.ndarray:
    """One whole number per image, int32 `[D]`."""
    found = np.atleast_1d(split.get(field, ()))
    if (
        found.shape != (count,)
        or found.dtype.kind not in "uif"
        or not (found == np.clip(np.round(found), *_INT32)).all()
    ):
        fault(path, f"{name} {field} {found.dtype} {found.shape}", f"whole numbers ({count},), one per image")
    return found.astype(np.int32)
